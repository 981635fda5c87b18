"""Runs the retrieval service: `python -m services.retrieval`, settings from the environment."""

from services.common.server import run
from services.retrieval.server import RetrievalService
from services.retrieval.settings import RetrievalSettings

if __name__ == "__main__":
    settings = RetrievalSettings()
    run("retrieval", RetrievalService(settings), settings)
