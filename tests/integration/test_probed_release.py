"""A release is probed through the retrieval service and Milvus Lite before it serves."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from pymilvus import MilvusClient
from sqlalchemy import Engine

from models.release import ITEM_VECTORS
from services.common.erased import ErasedUsers
from services.common.errors import FailedPrecondition
from services.common.releases import ReleaseState
from services.common.server import ServiceServer
from services.orchestrator.clients import RetrievalClient
from services.orchestrator.probe import ReleaseProbe
from services.orchestrator.release_switch import ReleaseSwitch
from services.retrieval.server import RetrievalService
from services.retrieval.settings import RetrievalSettings
from tests.chaos.havoc import until
from tests.contract.databases import engine
from tests.contract.milvus_process import MilvusLite
from tests.unit.orchestrator.test_probe import Bench

__all__ = ["engine"]


@pytest.fixture
def bench(tmp_path: Path, engine: Engine) -> Bench:
    return Bench(tmp_path / "releases", engine)


@asynccontextmanager
async def probing(bench: Bench, lite: MilvusLite, root: Path) -> AsyncIterator[ReleaseSwitch]:
    """A switch whose retrieval service reads its releases from a folder."""
    settings = RetrievalSettings(
        port=0,
        release_root=root,
        database_url=bench.engine.url.render_as_string(hide_password=False),
        milvus_uri=lite.uri,
    )
    server = ServiceServer(RetrievalService(settings), settings)
    await server.start()
    client = RetrievalClient([f"127.0.0.1:{server.port}"])
    probe = ReleaseProbe(client, bench, ErasedUsers(bench.engine).among, 0.2, 5.0)
    try:
        yield ReleaseSwitch(bench.registry, bench.root, [client], 60.0, 60.0, probe=probe)
    finally:
        await client.close()
        await server.stop()


async def test_a_good_release_serves(bench: Bench, lite: MilvusLite) -> None:
    release_id = bench.build()
    async with probing(bench, lite, bench.root) as switch:
        assert (await switch.activate(release_id)).state is ReleaseState.ACTIVE


async def test_vectors_of_other_items_in_milvus_are_refused_and_go_until_mended(
    bench: Bench, lite: MilvusLite, tmp_path: Path
) -> None:
    release_id = bench.build()
    other = shutil.copytree(bench.root / release_id, tmp_path / "other" / release_id)
    vectors = np.load(other / ITEM_VECTORS)
    np.save(other / ITEM_VECTORS, np.random.default_rng(0).permutation(vectors))
    manifest = json.loads((other / "release.json").read_text())
    digest = hashlib.sha256((other / ITEM_VECTORS).read_bytes()).hexdigest()
    manifest["sha256"][ITEM_VECTORS] = digest
    (other / "release.json").write_text(json.dumps(manifest))
    async with probing(bench, lite, other.parent) as switch:
        with pytest.raises(FailedPrecondition, match=r"recall@500 0\.\d+ is below 0\.95"):
            await switch.activate(release_id)
    assert bench.state(release_id)[0] is ReleaseState.FAILED
    stored = MilvusClient(lite.uri)

    async def nothing_stored() -> bool:
        return not await asyncio.to_thread(stored.list_collections)

    assert len(stored.list_collections()) == 2
    async with probing(bench, lite, bench.root) as switch:  # a start drops them at once
        assert await until(nothing_stored, 20.0)
        assert (await switch.activate(release_id)).state is ReleaseState.ACTIVE
    assert len(stored.list_collections()) == 2
    stored.close()
