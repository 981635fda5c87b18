"""The ranking servicer on a plain gRPC server, which `bench.ranking_ingress` measures.

python -m bench.ranking_plain RELEASE_ROOT PORT
"""

import asyncio
import sys
from pathlib import Path

import torch
from grpc import aio

from models.final_score import release_scorer
from services.common.release_cache import ReleaseCache
from services.ranking.scoring import load_release
from services.ranking.service import RankingServicer
from tandem.ranking.v1 import ranking_pb2_grpc


async def _serve(root: Path, port: int) -> None:
    torch.set_num_threads(1)
    releases = ReleaseCache(lambda name: load_release(root / name, release_scorer), capacity=1)
    server = aio.server()
    ranking_pb2_grpc.add_RankingServiceServicer_to_server(RankingServicer(releases), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
