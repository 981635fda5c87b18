"""The ranking service's causes, as the orchestrator gets them over gRPC."""

from pathlib import Path

import numpy as np
from grpc import aio

from bench.random_release import clicked, write_random_release
from models.final_score import release_scorer
from services.common.release_cache import ReleaseCache
from services.orchestrator.clients import RankingClient
from services.ranking.scoring import load_release
from services.ranking.service import RankingServicer
from tandem.ranking.v1 import ranking_pb2_grpc


async def test_causes_arrive_as_they_were_found(tmp_path: Path) -> None:
    release = write_random_release(tmp_path, 30, dimensions=16, seed=1)
    loaded = load_release(release.path, release_scorer)
    server = aio.server()
    servicer = RankingServicer(ReleaseCache(lambda _: loaded, capacity=1))
    ranking_pb2_grpc.add_RankingServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    client = RankingClient([f"127.0.0.1:{port}"])
    rows = np.array([4, 0, 12, 7, 21], np.int32)
    try:
        for user in (clicked(2, 5, 9, 2, 13), clicked(8), clicked()):
            found = await client.attribute(release.release_id, user, rows, 10)
            expected = loaded.attribute(user, rows.astype(np.int64))
            width = found.causes.shape[1]
            np.testing.assert_array_equal(found.causes, expected.causes[:, :width])
            np.testing.assert_array_equal(found.drops, expected.drops[:, :width])
            assert (expected.causes[:, width:] == -1).all()
            assert found.causes.dtype == np.int32 and found.drops.dtype == np.float32
    finally:
        await client.close()
        await server.stop(None)
