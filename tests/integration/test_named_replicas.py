"""Replicas behind one name, as a headless Service of Kubernetes has it, over real gRPC and DNS."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from grpc import aio

from services.common.channels import open_channel
from services.common.ports import free_ports
from services.common.server import ServiceServer
from services.common.settings import ServiceSettings
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc
from tests.integration.name_server import name_server

OLD, NEW = "127.0.0.2", "127.0.0.3"
Ask = Callable[[], Awaitable[str]]


class _Replica(recommender_pb2_grpc.RecommenderServiceServicer):
    """Answers with its own address."""

    names = ("tandem.recommender.v1.RecommenderService",)

    def __init__(self, host: str) -> None:
        self._host = host

    async def Recommend(self, request: pb.RecommendRequest, context: Any) -> pb.RecommendResponse:
        return pb.RecommendResponse(request_id=self._host)

    def register(self, server: aio.Server) -> None:
        recommender_pb2_grpc.add_RecommenderServiceServicer_to_server(self, server)

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass


@asynccontextmanager
async def replica(host: str, port: int, age: float = 0) -> AsyncIterator[ServiceServer]:
    settings = ServiceSettings(
        host=host,
        port=port,
        max_connection_seconds=age,
        release_root=Path("/none"),
        database_url="sqlite://",
        drain_seconds=1,
    )
    server = ServiceServer(_Replica(host), settings)  # type: ignore[abstract]
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def client(server: str, port: int) -> AsyncIterator[Ask]:
    """Asks for the address of whichever replica answers."""
    async with open_channel([f"dns://{server}/replicas.test:{port}"]) as channel:
        stub: Any = recommender_pb2_grpc.RecommenderServiceStub(channel)

        async def ask() -> str:
            return str((await stub.Recommend(pb.RecommendRequest(), timeout=5)).request_id)

        yield ask


async def until_asked(ask: Ask, wanted: set[str], seconds: float) -> bool:
    """Whether a time comes in which exactly these replicas answer; no call may fail meanwhile."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if {await ask() for _ in range(10)} == wanted:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_calls_go_round_all_replicas_of_a_name() -> None:
    (port,) = free_ports(1)
    async with (
        name_server(OLD, NEW) as (_, server),
        replica(OLD, port),
        replica(NEW, port),
        client(server, port) as ask,
    ):
        assert await until_asked(ask, {OLD, NEW}, 5)
        assert Counter([await ask() for _ in range(20)]) == {OLD: 10, NEW: 10}


async def test_a_replica_that_was_added_is_found_when_connections_have_an_age() -> None:
    (port,) = free_ports(1)
    async with (
        name_server(OLD) as (names, server),
        replica(OLD, port, age=0.5),
        replica(NEW, port, age=0.5),
        client(server, port) as ask,
    ):
        assert await until_asked(ask, {OLD}, 5)
        names.addresses = [OLD, NEW]
        assert await until_asked(ask, {OLD, NEW}, 10)


async def test_a_replica_that_is_replaced_fails_no_call() -> None:
    (port,) = free_ports(1)
    async with (
        name_server(OLD) as (names, server),
        replica(NEW, port),
        client(server, port) as ask,
    ):
        async with replica(OLD, port):
            assert await until_asked(ask, {OLD}, 5)
            names.addresses = [NEW]
            await asyncio.sleep(1.1)  # a name is looked up once a second at most
        assert await until_asked(ask, {NEW}, 5)
