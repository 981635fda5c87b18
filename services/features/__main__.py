"""Runs the features service: `python -m services.features`."""

from services.common.server import run
from services.features.server import FeaturesService
from services.features.settings import FeaturesSettings

if __name__ == "__main__":
    settings = FeaturesSettings()
    run("features", FeaturesService(settings), settings)
