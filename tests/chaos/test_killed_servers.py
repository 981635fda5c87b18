"""Two replicas of the features service over PostgreSQL and Redis, all of which are killed."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import psycopg
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.channels import open_channel
from services.common.database import open_database
from services.common.ports import free_ports
from services.features.repo.config import repo_config
from services.features.settings import FeaturesSettings
from services.features.store import FeastStore
from tandem.features.v1 import features_pb2, features_pb2_grpc
from tandem.recommender.v1 import recommender_pb2 as pb
from tests.chaos.havoc import until, wreak
from tests.chaos.servers import Server, end_connections, ended_afterwards, postgres, redis, replica
from tests.chaos.traffic import Traffic, make_events, send_all
from tests.chaos.truth import check_answers, check_log, check_store

EVENTS = 20_000
USERS = [f"chaos-user-{number}" for number in range(100)]
ITEMS = [f"item-{number}" for number in range(200)]
KILLS = {"connections": 5, "postgres": 1, "redis": 3, "features-0": 3, "features-1": 3}
SECONDS = 60.0
SEED = 11

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.postgres,
    pytest.mark.redis,
    pytest.mark.timeout(600),
]


async def kill(servers: dict[str, Server], postgres_port: int, name: str) -> None:
    """Kills a server, or all connections to the database as soon as it takes one."""
    if name != "connections":
        return await asyncio.to_thread(servers[name].kill)
    while True:
        try:
            await asyncio.to_thread(end_connections, postgres_port)
            return
        except psycopg.OperationalError:
            await asyncio.sleep(0.2)


async def wreck(
    channel: aio.Channel, servers: dict[str, Server], postgres_port: int, events: list[pb.Event]
) -> tuple[Traffic, Counter[str]]:
    """Sends events, to either replica, while servers are killed."""
    stub = features_pb2_grpc.FeatureServiceStub(channel)

    async def record(batch: Sequence[pb.Event]) -> features_pb2.RecordEventsResponse:
        return await stub.RecordEvents(features_pb2.RecordEventsRequest(events=batch), timeout=5.0)

    return await asyncio.gather(
        send_all(record, events, clients=4, seconds=SECONDS, seed=SEED),
        wreak(partial(kill, servers, postgres_port), KILLS, seed=SEED),
    )


async def serves(port: int) -> bool:
    async with open_channel([f"127.0.0.1:{port}"]) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=2.0
            )
        except aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_every_acknowledged_event_is_kept_once_by_two_replicas_whatever_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    postgres_port, redis_port, *ports = free_ports(4)
    with postgres(postgres_port) as (database, url):

        def settings(name: str, port: int) -> FeaturesSettings:
            return FeaturesSettings(
                port=port,
                release_root=tmp_path / "releases",
                database_url=url,
                store_root=tmp_path / name,
                online_store="redis",
                redis=f"127.0.0.1:{redis_port}",
            )

        servers = {"postgres": database, "redis": redis(redis_port, tmp_path)}
        for number, port in enumerate(ports):
            name = f"features-{number}"
            servers[name] = replica(settings(name, port), tmp_path / f"{name}.log")
        with ended_afterwards(*servers.values()):
            keeping = [asyncio.create_task(server.keep()) for server in servers.values()]
            for port in ports:
                assert await until(partial(serves, port), 90)
            events = make_events(EVENTS, USERS, ITEMS, SEED)
            began = time.monotonic()
            async with open_channel([f"127.0.0.1:{port}" for port in ports]) as channel:
                traffic, kills = await wreck(channel, servers, postgres_port, events)
            ended = time.monotonic()
            assert kills == KILLS
            assert traffic.acked == {event.event_id for event in events}
            for port in ports:
                assert await until(partial(serves, port), 90)
            with capsys.disabled():
                print(f"\nkilled {dict(kills)} in {ended - began:.0f} s, ", end="")
                print(f"well again after {time.monotonic() - ended:.1f} s; {traffic}")
            engine = open_database(url)
            check_log(engine, events, before=0)
            for port in ports:
                async with open_channel([f"127.0.0.1:{port}"]) as channel:
                    await check_answers(engine, channel, USERS)
            store = FeastStore(repo_config(settings("looking", 0)))
            await check_store(engine, store, USERS)
            engine.dispose()
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
