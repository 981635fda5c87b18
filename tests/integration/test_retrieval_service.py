"""The retrieval service over real gRPC, with Milvus Lite as a process and a release on disk."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pymilvus import AsyncMilvusClient

from models.release import Release
from models.scorer import TwoTowerScorer
from services.common.channels import open_channel
from services.common.database import open_database
from services.common.garbage import collect
from services.common.live_items import MOST_LIVE_ITEMS, LiveItem, LiveItemTable
from services.common.model_input import decode_user
from services.common.releases import ReleaseRegistry
from services.common.server import ServiceServer
from services.retrieval.collection import collection_name
from services.retrieval.server import QUOTAS, RetrievalService
from services.retrieval.settings import RetrievalSettings
from services.retrieval.vectors import Space
from tandem.model.v1 import model_pb2
from tandem.retrieval.v1 import retrieval_pb2 as pb
from tandem.retrieval.v1 import retrieval_pb2_grpc
from tests.contract.milvus_process import MilvusLite
from tests.unit.retrieval.world import write_release

if TYPE_CHECKING:
    from tandem.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceAsyncStub

ITEMS = 300
DEADLINE = 10.0


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return write_release(tmp_path / "releases", ITEMS)


@pytest.fixture
def settings(tmp_path: Path, lite: MilvusLite) -> RetrievalSettings:
    return RetrievalSettings(
        port=0,
        release_root=tmp_path / "releases",
        database_url=f"sqlite:///{tmp_path}/tandem.db",
        milvus_uri=lite.uri,
    )


@pytest.fixture
async def server(settings: RetrievalSettings, release: Release) -> AsyncIterator[ServiceServer]:
    server = ServiceServer(RetrievalService(settings), settings)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def channel(server: ServiceServer) -> AsyncIterator[aio.Channel]:
    async with open_channel([f"127.0.0.1:{server.port}"]) as channel:
        yield channel


@pytest.fixture
def stub(channel: aio.Channel) -> "RetrievalServiceAsyncStub":
    return retrieval_pb2_grpc.RetrievalServiceStub(channel)


def user(*rows: int) -> model_pb2.UserInput:
    return model_pb2.UserInput(
        history_rows=rows,
        history_kinds=[2] * len(rows),
        history_ages=[60.0] * len(rows),
        history_values=[0.0] * len(rows),
        request_time=1e9,
    )


def packed(*rows: int) -> bytes:
    return np.array(rows, "<u4").tobytes()


def request(release: Release, **fields: object) -> pb.RetrieveRequest:
    defaults = {"release_id": release.release_id, "user": user(3, 9), "count": 100}
    return pb.RetrieveRequest(**{**defaults, **fields})  # type: ignore[arg-type]


async def prepare(stub: "RetrievalServiceAsyncStub", release: Release) -> int:
    sent = pb.PrepareReleaseRequest(release_id=release.release_id)
    return (await stub.PrepareRelease(sent, timeout=DEADLINE)).items


async def test_candidates_come_merged_and_attributed(
    stub: "RetrievalServiceAsyncStub", release: Release
) -> None:
    assert await prepare(stub, release) == ITEMS
    excluded = list(range(3, 150))
    answer = await stub.Retrieve(request(release, exclude=packed(*excluded)), timeout=DEADLINE)
    assert answer.release_id == release.release_id
    assert len(answer.item_rows) == len(set(answer.item_rows)) == len(answer.scores) == 100
    assert not set(answer.item_rows) & set(excluded)
    assert (np.diff(answer.scores) <= 0).all()
    assert {report.name for report in answer.sources} == QUOTAS.keys()
    assert not any(report.error for report in answer.sources)
    attributed = {position for report in answer.sources for position in report.positions}
    assert attributed == set(range(100))


async def test_the_tower_source_ranks_as_the_model_does(
    stub: "RetrievalServiceAsyncStub", release: Release
) -> None:
    await prepare(stub, release)
    sent = request(release, sources=["tower_ann"], count=50)
    answer = await stub.Retrieve(sent, timeout=DEADLINE)
    scores = TwoTowerScorer(release).score(decode_user(sent.user), np.arange(ITEMS, dtype=np.int32))
    np.testing.assert_allclose(answer.sources[0].scores, np.sort(scores)[::-1][:50], atol=1e-3)
    assert [report.name for report in answer.sources] == ["tower_ann"]


async def test_a_release_nobody_prepared_is_loaded_on_demand(
    stub: "RetrievalServiceAsyncStub", release: Release
) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        answer = await stub.Retrieve(request(release), timeout=DEADLINE)
        errors = {report.name: report.error for report in answer.sources}
        assert not errors["neighbours"] and not errors["popular"]
        if not any(errors.values()):
            return
        assert time.monotonic() < deadline, errors
        await asyncio.sleep(0.05)


async def test_while_milvus_is_down_the_other_sources_answer_and_health_stays(
    stub: "RetrievalServiceAsyncStub", release: Release, channel: aio.Channel, lite: MilvusLite
) -> None:
    await prepare(stub, release)
    lite.kill()
    started = time.monotonic()
    answer = await stub.Retrieve(request(release), timeout=DEADLINE)
    assert time.monotonic() - started < 1.0
    errors = {report.name: report.error for report in answer.sources}
    assert errors["tower_ann"] and errors["mf_ann"]
    assert not errors["neighbours"] and not errors["popular"]
    assert len(answer.item_rows) == 100
    health = await health_pb2_grpc.HealthStub(channel).Check(
        health_pb2.HealthCheckRequest(service=RetrievalService.names[0]), timeout=DEADLINE
    )
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    lite.start()
    deadline = time.monotonic() + DEADLINE
    while any(report.error for report in answer.sources):
        assert time.monotonic() < deadline, answer.sources
        await asyncio.sleep(0.05)
        answer = await stub.Retrieve(request(release), timeout=DEADLINE)


async def test_vectors_of_a_collected_release_are_dropped(
    settings: RetrievalSettings, release: Release, lite: MilvusLite
) -> None:
    server = ServiceServer(RetrievalService(settings), settings)
    await server.start()
    async with open_channel([f"127.0.0.1:{server.port}"]) as channel:
        await prepare(retrieval_pb2_grpc.RetrievalServiceStub(channel), release)
    await server.stop()
    ours = {collection_name(release.release_id, space) for space in Space}
    client = AsyncMilvusClient(uri=lite.uri, dedicated=True)
    assert ours <= set(await client.list_collections())
    engine = open_database(settings.database_url)
    ReleaseRegistry(engine).add(release.release_id, {})
    assert collect(engine, settings.release_root, keep=0).releases == [release.release_id]
    engine.dispose()
    server = ServiceServer(RetrievalService(settings), settings)
    await server.start()
    deadline = time.monotonic() + DEADLINE
    while not ours.isdisjoint(await client.list_collections()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    await server.stop()
    await client.close()


async def test_the_active_release_is_searchable_when_the_service_says_it_serves(
    settings: RetrievalSettings, release: Release
) -> None:
    engine = open_database(settings.database_url)
    registry = ReleaseRegistry(engine)
    registry.add(release.release_id, {})
    registry.activate(release.release_id)
    engine.dispose()
    server = ServiceServer(RetrievalService(settings), settings)
    await server.start()
    async with open_channel([f"127.0.0.1:{server.port}"]) as channel:
        stub = retrieval_pb2_grpc.RetrievalServiceStub(channel)
        answer: pb.RetrieveResponse = await stub.Retrieve(request(release), timeout=DEADLINE)
    await server.stop()
    assert not any(report.error for report in answer.sources)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"count": 0}, grpc.StatusCode.INVALID_ARGUMENT, "count"),
        ({"count": 5_001}, grpc.StatusCode.INVALID_ARGUMENT, "count"),
        ({"sources": ["x"]}, grpc.StatusCode.INVALID_ARGUMENT, "sources"),
        (
            {"exclude": packed(1, ITEMS + MOST_LIVE_ITEMS)},
            grpc.StatusCode.INVALID_ARGUMENT,
            "exclude",
        ),
        ({"exclude": packed(2**32 - 1)}, grpc.StatusCode.INVALID_ARGUMENT, "exclude"),
        ({"exclude": packed(3, 2, 4)}, grpc.StatusCode.INVALID_ARGUMENT, "exclude: the rows"),
        ({"exclude": packed(2, 2)}, grpc.StatusCode.INVALID_ARGUMENT, "exclude: the rows"),
        ({"exclude": packed(2)[:3]}, grpc.StatusCode.INVALID_ARGUMENT, "exclude: 3 bytes"),
        ({"user": user(ITEMS)}, grpc.StatusCode.INVALID_ARGUMENT, "user.history_rows"),
        (
            {"user": model_pb2.UserInput(history_rows=[1], history_kinds=[1])},
            grpc.StatusCode.INVALID_ARGUMENT,
            "user: ages",
        ),
        (
            {"user": model_pb2.UserInput(history_kinds=[300])},
            grpc.StatusCode.INVALID_ARGUMENT,
            "user.history_kinds",
        ),
        (
            {"user": model_pb2.UserInput(factors=[1.0])},
            grpc.StatusCode.INVALID_ARGUMENT,
            "user.factors",
        ),
        (
            {"user": model_pb2.UserInput(request_time=float("nan"))},
            grpc.StatusCode.INVALID_ARGUMENT,
            "user.request_time",
        ),
        ({"release_id": "nope"}, grpc.StatusCode.FAILED_PRECONDITION, "release nope"),
        ({"release_id": "../x"}, grpc.StatusCode.FAILED_PRECONDITION, "release_id"),
    ],
)
async def test_bad_requests_are_refused_by_field(
    stub: "RetrievalServiceAsyncStub",
    release: Release,
    fields: dict[str, object],
    code: grpc.StatusCode,
    field: str,
) -> None:
    await prepare(stub, release)
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.Retrieve(request(release, **fields), timeout=DEADLINE)
    assert refused.value.code() is code
    assert str(refused.value.details()).startswith(field)


async def test_similar_items_come_nearest_first(
    stub: "RetrievalServiceAsyncStub", release: Release
) -> None:
    answer = await stub.SimilarItems(
        pb.SimilarItemsRequest(release_id=release.release_id, item_id="item-7", count=5),
        timeout=DEADLINE,
    )
    assert list(answer.item_rows) == [8, 9]
    assert (answer.method, answer.missing) == ("cosine", "zero")
    np.testing.assert_allclose(answer.scores, [0.5, 0.25])


async def test_neighbours_of_an_unknown_item_are_not_found(
    stub: "RetrievalServiceAsyncStub", release: Release
) -> None:
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.SimilarItems(
            pb.SimilarItemsRequest(release_id=release.release_id, item_id="nope", count=5),
            timeout=DEADLINE,
        )
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_an_upserted_item_is_found_at_once_when_a_row_of_it_is_named(
    stub: "RetrievalServiceAsyncStub", release: Release, settings: RetrievalSettings
) -> None:
    await prepare(stub, release)
    engine = open_database(settings.database_url)
    LiveItemTable(engine).upsert(
        [LiveItem("new-a", genres=("Drama",)), LiveItem("item-5"), LiveItem("new-b")]
    )
    engine.dispose()
    answer = await stub.Retrieve(request(release, exclude=packed(ITEMS + 2)), timeout=DEADLINE)
    live = [row for row in answer.item_rows if row >= ITEMS]
    assert live == [ITEMS]  # item-5 keeps its row in the release, new-b is excluded
    (report,) = [each for each in answer.sources if each.name == "new_items"]
    assert [answer.item_rows[at] for at in report.positions] == [ITEMS]
    unknown = request(release, exclude=packed(1, ITEMS + 3))
    unknown.user.trend.rows.extend([ITEMS + 4, 2])
    unknown.user.trend.weights.extend([0.5, 0.25])
    answer = await stub.Retrieve(unknown, timeout=DEADLINE)
    assert max(answer.item_rows) == ITEMS + 2 and 1 not in answer.item_rows
    (report,) = [each for each in answer.sources if each.name == "trending"]
    assert [answer.item_rows[at] for at in report.positions] == [2]
