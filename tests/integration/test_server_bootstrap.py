"""The bootstrap of every server, over real gRPC on loopback."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from services.common.deadlines import Budget
from services.common.errors import InvalidArgument, NotFound
from services.common.server import LIVENESS, ServiceServer
from services.common.settings import ServiceSettings
from services.common.telemetry import REQUEST_ID_HEADER, request_id
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc

SERVICE = "tandem.recommender.v1.RecommenderService"


class EchoServicer(recommender_pb2_grpc.RecommenderServiceServicer):
    """Answers with what the bootstrap gave it."""

    async def Recommend(self, request: pb.RecommendRequest, context: Any) -> pb.RecommendResponse:
        match request.user_id:
            case "bug":
                raise RuntimeError("a secret detail")
            case "bad":
                raise InvalidArgument("count", "must be 1 to 500, is 0")
            case "missing":
                raise NotFound("no such thing")
            case "slow":
                await asyncio.sleep(0.5)
        return pb.RecommendResponse(
            request_id=request_id.get(), stage_millis={"left": Budget.current(60).left()}
        )


class EchoService:
    names = (SERVICE,)

    def __init__(self) -> None:
        self.starting = asyncio.Event()
        self.ready = asyncio.Event()
        self.closed = False

    def register(self, server: aio.Server) -> None:
        recommender_pb2_grpc.add_RecommenderServiceServicer_to_server(EchoServicer(), server)  # type: ignore[abstract]

    async def start(self) -> None:
        self.starting.set()
        await self.ready.wait()

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[ServiceServer, EchoService, str]]:
    service = EchoService()
    settings = ServiceSettings(
        port=0,
        release_root=tmp_path,
        database_url="sqlite://",
        max_concurrent_requests=2,
        default_deadline_seconds=7,
        drain_seconds=2,
    )
    server = ServiceServer(service, settings)
    starting = asyncio.create_task(server.start())
    await service.starting.wait()
    yield server, service, f"127.0.0.1:{server.port}"
    service.ready.set()
    await starting
    if not service.closed:
        await server.stop()


@pytest.fixture
async def stub(
    running: tuple[ServiceServer, EchoService, str],
) -> AsyncIterator["recommender_pb2_grpc.RecommenderServiceAsyncStub"]:
    running[1].ready.set()
    async with aio.insecure_channel(running[2]) as channel:
        yield recommender_pb2_grpc.RecommenderServiceStub(channel)


async def _health(address: str, name: str = SERVICE) -> int:
    async with aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
        return int(answer.status)


async def test_health_is_serving_only_once_the_service_is_ready(
    running: tuple[ServiceServer, EchoService, str],
) -> None:
    _, service, address = running
    assert await _health(address) == health_pb2.HealthCheckResponse.NOT_SERVING
    service.ready.set()
    for _ in range(200):
        if await _health(address) == health_pb2.HealthCheckResponse.SERVING:
            return
        await asyncio.sleep(0.01)
    pytest.fail("not SERVING within two seconds of being ready")


async def test_a_service_that_waits_is_alive_and_not_ready(
    running: tuple[ServiceServer, EchoService, str],
) -> None:
    _, _, address = running
    states = health_pb2.HealthCheckResponse
    assert await _health(address, "") == await _health(address) == states.NOT_SERVING
    assert await _health(address, LIVENESS) == states.SERVING


async def test_reflection_lists_the_service(
    running: tuple[ServiceServer, EchoService, str],
) -> None:
    def services() -> list[str]:
        with grpc.insecure_channel(running[2]) as channel:
            return list(ProtoReflectionDescriptorDatabase(channel).get_services())

    assert {SERVICE, "grpc.health.v1.Health"} <= set(await asyncio.to_thread(services))


@pytest.mark.parametrize(
    ("user", "code", "details"),
    [
        ("bad", grpc.StatusCode.INVALID_ARGUMENT, "count: must be 1 to 500, is 0"),
        ("missing", grpc.StatusCode.NOT_FOUND, "no such thing"),
        ("bug", grpc.StatusCode.INTERNAL, "Internal server error"),
    ],
)
async def test_errors_become_statuses_and_bugs_keep_their_secrets(
    stub: Any, user: str, code: grpc.StatusCode, details: str
) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await stub.Recommend(pb.RecommendRequest(user_id=user), timeout=5)
    assert (caught.value.code(), caught.value.details()) == (code, details)


async def test_the_callers_request_id_is_kept(stub: Any) -> None:
    answer = await stub.Recommend(
        pb.RecommendRequest(user_id="u"), timeout=5, metadata=((REQUEST_ID_HEADER, "abc"),)
    )
    assert answer.request_id == "abc"


async def test_a_request_without_an_id_gets_one_of_its_own(stub: Any) -> None:
    first, second = [
        await stub.Recommend(pb.RecommendRequest(user_id="u"), timeout=5) for _ in range(2)
    ]
    assert first.request_id and first.request_id != second.request_id


async def test_the_callers_deadline_reaches_the_service(stub: Any) -> None:
    answer = await stub.Recommend(pb.RecommendRequest(user_id="u"), timeout=3)
    assert 0 < answer.stage_millis["left"] < 3.5


async def test_a_call_without_a_deadline_gets_the_default(stub: Any) -> None:
    answer = await stub.Recommend(pb.RecommendRequest(user_id="u"))
    assert 3.5 < answer.stage_millis["left"] < 7.5


async def test_overload_is_answered_at_once_with_a_hint(stub: Any) -> None:
    slow = [
        asyncio.ensure_future(stub.Recommend(pb.RecommendRequest(user_id="slow"), timeout=5))
        for _ in range(2)
    ]
    await asyncio.sleep(0.1)
    with pytest.raises(aio.AioRpcError) as caught:
        await stub.Recommend(pb.RecommendRequest(user_id="u"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ("retry-after-ms", "100") in list(caught.value.trailing_metadata() or ())
    await asyncio.gather(*slow)


async def test_stopping_lets_calls_in_progress_finish(
    running: tuple[ServiceServer, EchoService, str], stub: Any
) -> None:
    server, service, _ = running
    await stub.Recommend(pb.RecommendRequest(user_id="u"), timeout=5)
    slow = asyncio.ensure_future(stub.Recommend(pb.RecommendRequest(user_id="slow"), timeout=5))
    await asyncio.sleep(0.1)
    await server.stop()
    assert (await slow).request_id
    assert service.closed
