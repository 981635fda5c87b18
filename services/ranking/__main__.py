"""Runs the ranking service on this machine: `python -m services.ranking`."""

import os
import sys

from services.common.telemetry import configure_logging
from services.ranking.environment import ray_environment
from services.ranking.settings import RankingSettings


def main() -> None:
    settings = RankingSettings()
    configure_logging("ranking", settings.log_level)
    os.environ["RANKING_RUNTIME_DIR"] = str(settings.runtime_dir)
    os.environ.update(ray_environment(settings))
    # Ray reads its environment when it is imported.
    from services.ranking import local

    try:
        local.run(settings)
    except local.LocalError as error:
        sys.exit(f"ranking: {error}")


if __name__ == "__main__":
    main()
