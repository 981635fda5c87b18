"""Runs the orchestrator: `python -m services.orchestrator`."""

from services.common.server import run
from services.orchestrator.server import OrchestratorService
from services.orchestrator.settings import OrchestratorSettings

if __name__ == "__main__":
    settings = OrchestratorSettings()
    run("orchestrator", OrchestratorService(settings), settings)
