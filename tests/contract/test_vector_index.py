"""What a `VectorIndex` promises, held against the exact twin, Milvus Lite and a Milvus server."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from pymilvus import AsyncMilvusClient

from services.common.errors import FailedPrecondition, Unavailable
from services.retrieval import collection
from services.retrieval.index import MilvusIndex
from services.retrieval.index_kinds import IndexKind, IndexPolicy
from services.retrieval.vectors import (
    ExactIndex,
    Found,
    Space,
    VectorIndex,
    VectorTable,
    exact_search,
)
from tests.contract.milvus_process import MilvusLite, wait_for_port

ITEMS = 1_200
TIMEOUT = 5.0
FIRST, SECOND = "20260101-000000-aaaa", "20260102-000000-bbbb"

Tables = dict[Space, VectorTable]


def tables(seed: int, items: int = ITEMS) -> Tables:
    rng = np.random.default_rng(seed)

    def table(width: int) -> VectorTable:
        return VectorTable(
            vectors=rng.normal(size=(items, width)).astype(np.float32),
            adult=rng.random(items) < 0.1,
            available=rng.random(items) < 0.9,
        )

    return {Space.TOWER: table(16), Space.MF: table(8)}


def queries(width: int, count: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(99).normal(size=(count, width)).astype(np.float32)


def assert_same(found: Found, expected: Found) -> None:
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    assert set(found.rows.tolist()) == set(expected.rows.tolist())
    # Items whose scores differ by less than the tolerance may change places.
    gaps = np.concatenate([[np.inf], -np.diff(expected.scores), [np.inf]])
    clear = (gaps[:-1] > 1e-4) & (gaps[1:] > 1e-4)
    np.testing.assert_array_equal(found.rows[clear], expected.rows[clear])


async def searchable(index: VectorIndex, release_id: str, seconds: float = 30) -> Found:
    """The first answer after an outage."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await index.search(release_id, Space.TOWER, queries(16)[0], 10, TIMEOUT)
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def server_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A standalone Milvus; MILVUS_SERVER names a Python that has the `milvus` package."""
    python = os.environ.get("MILVUS_SERVER")
    if not python:
        pytest.skip("MILVUS_SERVER names no Python with the milvus package")
    folder = tmp_path_factory.mktemp("milvus")
    program = (
        "import sys, time; from milvus import MilvusServer\n"
        f"server = MilvusServer(); server.set_base_dir({str(folder)!r}); server.start()\n"
        "print(server.listen_port, flush=True); sys.stdin.read(); server.stop()"
    )
    # Leaving the block closes the program's input, which ends it.
    with subprocess.Popen(
        [python, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = f"127.0.0.1:{int(process.stdout.readline())}"
        wait_for_port(address)
        yield f"http://{address}"


@pytest.fixture(
    params=["exact", "lite", pytest.param("server", marks=pytest.mark.milvus_server)],
)
async def index(request: pytest.FixtureRequest) -> AsyncIterator[VectorIndex]:
    made: VectorIndex
    if request.param == "exact":
        made = ExactIndex()
    elif request.param == "lite":
        made = MilvusIndex(request.getfixturevalue("lite").uri)
    else:
        made = MilvusIndex(request.getfixturevalue("server_uri"))
    yield made
    for release_id in (FIRST, SECOND):
        await made.drop(release_id)
    await made.close()


class TestEveryIndex:
    @pytest.mark.parametrize("count", [1, 10, 500])
    async def test_a_search_finds_what_exact_search_finds(
        self, index: VectorIndex, count: int
    ) -> None:
        held = tables(1)
        assert await index.prepare(FIRST, held) == ITEMS
        for space, width in ((Space.TOWER, 16), (Space.MF, 8)):
            for query in queries(width):
                found = await index.search(FIRST, space, query, count, TIMEOUT)
                assert_same(found, exact_search(held[space].vectors, query, count))

    async def test_a_search_for_more_than_there_is_returns_every_item(
        self, index: VectorIndex
    ) -> None:
        await index.prepare(FIRST, tables(1))
        found = await index.search(FIRST, Space.MF, queries(8)[0], 1_000_000, TIMEOUT)
        assert sorted(found.rows.tolist()) == list(range(ITEMS))

    async def test_scores_do_not_increase_and_ties_go_by_row(self, index: VectorIndex) -> None:
        held = tables(1)
        twins = VectorTable(
            np.repeat(held[Space.MF].vectors[: ITEMS // 2], 2, axis=0),
            held[Space.MF].adult,
            held[Space.MF].available,
        )
        await index.prepare(FIRST, {**held, Space.MF: twins})
        found = await index.search(FIRST, Space.MF, queries(8)[0], 100, TIMEOUT)
        np.testing.assert_array_equal(found.rows[1::2], found.rows[::2] + 1)
        assert (np.diff(found.scores) <= 0).all()

    async def test_two_releases_are_searched_side_by_side(self, index: VectorIndex) -> None:
        first, second = tables(1), tables(2, items=700)
        await index.prepare(FIRST, first)
        await index.prepare(SECOND, second)
        query = queries(16)[0]
        for release_id, held in ((FIRST, first), (SECOND, second)):
            found = await index.search(release_id, Space.TOWER, query, 50, TIMEOUT)
            assert_same(found, exact_search(held[Space.TOWER].vectors, query, 50))

    async def test_preparing_twice_changes_nothing(self, index: VectorIndex) -> None:
        held = tables(1)
        await index.prepare(FIRST, held)
        before = await index.search(FIRST, Space.TOWER, queries(16)[0], 50, TIMEOUT)
        assert await index.prepare(FIRST, held) == ITEMS
        after = await index.search(FIRST, Space.TOWER, queries(16)[0], 50, TIMEOUT)
        np.testing.assert_array_equal(before.rows, after.rows)

    async def test_a_held_release_becomes_searchable_by_itself(self, index: VectorIndex) -> None:
        index.hold(FIRST, tables(1))
        assert len(await searchable(index, FIRST)) == 10

    @pytest.mark.parametrize("leave", ["forget", "drop"])
    async def test_a_release_that_was_let_go_is_unavailable(
        self, index: VectorIndex, leave: str
    ) -> None:
        await index.prepare(FIRST, tables(1))
        if leave == "drop":
            await index.drop(FIRST)
        else:
            index.forget(FIRST)
        with pytest.raises(Unavailable):
            await index.search(FIRST, Space.TOWER, queries(16)[0], 10, TIMEOUT)

    async def test_it_says_of_which_releases_it_stores_something(self, index: VectorIndex) -> None:
        await index.prepare(FIRST, tables(1))
        await index.prepare(SECOND, tables(2))
        assert await index.stored([]) == []
        assert await index.stored(["never-there", FIRST]) == [FIRST]
        await index.drop(FIRST)
        assert await index.stored(["never-there", FIRST]) == []
        with pytest.raises(Unavailable):
            await index.search(FIRST, Space.TOWER, queries(16)[0], 10, TIMEOUT)
        assert len(await index.search(SECOND, Space.TOWER, queries(16)[0], 10, TIMEOUT)) == 10


@pytest.fixture
async def milvus(lite: MilvusLite) -> AsyncIterator[MilvusIndex]:
    index = MilvusIndex(lite.uri)
    yield index
    await index.close()


class TestMilvusOutage:
    async def test_after_a_restart_searches_recover_by_themselves(
        self, lite: MilvusLite, milvus: MilvusIndex
    ) -> None:
        await milvus.prepare(FIRST, tables(1))
        before = await searchable(milvus, FIRST)
        lite.kill()
        with pytest.raises(Unavailable):
            await milvus.search(FIRST, Space.TOWER, queries(16)[0], 10, TIMEOUT)
        lite.start()
        np.testing.assert_array_equal((await searchable(milvus, FIRST)).rows, before.rows)

    async def test_collections_that_milvus_lost_are_built_again(
        self, lite: MilvusLite, milvus: MilvusIndex
    ) -> None:
        await milvus.prepare(FIRST, tables(1))
        before = await searchable(milvus, FIRST)
        lite.kill()
        lite.database.unlink()
        with pytest.raises(Unavailable):
            await milvus.search(FIRST, Space.TOWER, queries(16)[0], 10, TIMEOUT)
        lite.start()
        np.testing.assert_array_equal((await searchable(milvus, FIRST)).rows, before.rows)

    @pytest.mark.parametrize("fault", ["kill", "freeze"])
    async def test_a_search_does_not_outlast_its_timeout(
        self, lite: MilvusLite, milvus: MilvusIndex, fault: str
    ) -> None:
        await milvus.prepare(FIRST, tables(1))
        lite.kill() if fault == "kill" else lite.freeze()
        for _ in range(5):
            started = time.monotonic()
            with pytest.raises(Unavailable):
                await milvus.search(FIRST, Space.TOWER, queries(16)[0], 10, timeout=0.2)
            # Twice the timeout is for a busy machine; a search that hung would take seconds.
            assert time.monotonic() - started < 0.4
        if fault == "freeze":
            lite.thaw()
            assert len(await searchable(milvus, FIRST)) == 10

    async def test_preparing_with_milvus_down_says_so(
        self, lite: MilvusLite, milvus: MilvusIndex
    ) -> None:
        lite.kill()
        with pytest.raises(Unavailable, match=lite.address):
            await milvus.prepare(FIRST, tables(1))


class TestMilvusCollections:
    async def _leave_incomplete(self, lite: MilvusLite, held: Tables, rows: int) -> None:
        client = AsyncMilvusClient(uri=lite.uri, dedicated=True)
        name = collection.collection_name(FIRST, Space.TOWER)
        part = VectorTable(
            held[Space.TOWER].vectors[:rows],
            held[Space.TOWER].adult[:rows],
            held[Space.TOWER].available[:rows],
        )
        await collection.open_collection(client, name, part, [IndexKind.FLAT], 0.99)
        await client.close()

    async def test_an_incomplete_collection_is_built_again(
        self, lite: MilvusLite, milvus: MilvusIndex
    ) -> None:
        held = tables(1)
        await self._leave_incomplete(lite, held, rows=700)
        await milvus.prepare(FIRST, held)
        found = await milvus.search(FIRST, Space.TOWER, queries(16)[0], ITEMS, TIMEOUT)
        assert len(found) == ITEMS

    async def test_a_collection_with_other_vectors_is_built_again(
        self, lite: MilvusLite, milvus: MilvusIndex
    ) -> None:
        await self._leave_incomplete(lite, tables(2), rows=ITEMS)
        held, query = tables(1), queries(16)[0]
        await milvus.prepare(FIRST, held)
        found = await milvus.search(FIRST, Space.TOWER, query, 50, TIMEOUT)
        assert_same(found, exact_search(held[Space.TOWER].vectors, query, 50))

    async def test_a_complete_collection_is_reused(
        self, lite: MilvusLite, milvus: MilvusIndex, caplog: pytest.LogCaptureFixture
    ) -> None:
        held = tables(1)
        await milvus.prepare(FIRST, held)
        other = MilvusIndex(lite.uri)
        await other.prepare(FIRST, held)
        await other.close()
        assert "collection is built again" not in caplog.text
        assert len(await searchable(milvus, FIRST)) == 10

    async def test_what_is_searchable_is_not_proven_again(
        self, milvus: MilvusIndex, caplog: pytest.LogCaptureFixture
    ) -> None:
        held = tables(1)
        caplog.set_level("INFO")
        await milvus.prepare(FIRST, held)
        proofs = caplog.text.count("collection is searchable")
        await milvus.prepare(FIRST, held)
        assert proofs == caplog.text.count("collection is searchable") == len(Space)

    async def test_preparing_again_builds_a_collection_that_was_lost(
        self, lite: MilvusLite, milvus: MilvusIndex
    ) -> None:
        held = tables(1)
        await milvus.prepare(FIRST, held)
        client = AsyncMilvusClient(uri=lite.uri, dedicated=True)
        await client.drop_collection(collection.collection_name(FIRST, Space.TOWER))
        await client.close()
        assert await milvus.prepare(FIRST, held) == ITEMS
        found = await milvus.search(FIRST, Space.TOWER, queries(16)[0], ITEMS, TIMEOUT)
        assert len(found) == ITEMS

    async def test_vectors_that_are_not_finite_are_refused(self, milvus: MilvusIndex) -> None:
        broken = tables(1)
        broken[Space.TOWER].vectors[5] = np.nan
        with pytest.raises(FailedPrecondition, match="not all item vectors are finite"):
            await milvus.prepare(FIRST, broken)

    async def test_recall_below_the_least_is_refused(self, lite: MilvusLite) -> None:
        index = MilvusIndex(lite.uri, policy=IndexPolicy(least_recall=1.01))
        with pytest.raises(FailedPrecondition, match=r"recall@500 of FLAT is 1\.0000"):
            await index.prepare(FIRST, tables(1))
        with pytest.raises(Unavailable):
            await index.search(FIRST, Space.TOWER, queries(16)[0], 10, TIMEOUT)
        await index.close()

    @pytest.mark.parametrize("kind", [IndexKind.IVF_FLAT, IndexKind.FLAT])
    async def test_each_kind_of_milvus_lite_reaches_the_recall(
        self, lite: MilvusLite, kind: IndexKind
    ) -> None:
        assert await self._recall(lite.uri, kind) >= 0.99

    @pytest.mark.milvus_server
    @pytest.mark.parametrize("kind", [IndexKind.IVF_FLAT, IndexKind.HNSW])
    async def test_each_kind_of_a_milvus_server_reaches_the_recall(
        self, server_uri: str, kind: IndexKind
    ) -> None:
        assert await self._recall(server_uri, kind) >= 0.99

    async def _recall(self, uri: str, kind: IndexKind) -> float:
        held, found = tables(1, items=3_000), 0
        index = MilvusIndex(uri, policy=IndexPolicy(kind))
        await index.prepare(FIRST, held)
        for query in queries(16, count=20):
            hits = await index.search(FIRST, Space.TOWER, query, 500, TIMEOUT)
            exact = exact_search(held[Space.TOWER].vectors, query, 500)
            found += len(np.intersect1d(hits.rows, exact.rows))
        await index.drop(FIRST)
        await index.close()
        return found / (20 * 500)
