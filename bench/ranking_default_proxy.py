"""The ranking service behind Ray Serve's default proxy, which `bench.ranking_ingress` measures."""

import os

from services.ranking.environment import ray_environment
from services.ranking.settings import RankingSettings


def main() -> None:
    settings = RankingSettings()
    os.environ.update(ray_environment(settings))
    os.environ.update(RAY_SERVE_ENABLE_HA_PROXY="0", RAY_SERVE_THROUGHPUT_OPTIMIZED="0")
    # Ray reads its environment when it is imported.
    from services.ranking import local

    local.run(settings)


if __name__ == "__main__":
    main()
