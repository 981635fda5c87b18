"""Upserts and erasures through the public API: real clients, orchestrator servicer and features."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from grpc import aio
from redis import Redis

from services.common.admission import Admission
from services.common.database import open_database
from services.common.errors import InvalidArgument
from services.common.interceptors import standard_interceptors
from services.common.live_items import LiveItemTable
from services.common.live_view import LiveItems
from services.common.releases import ReleaseRegistry
from services.common.server import ServiceServer
from services.features.server import FeaturesService
from services.features.settings import FeaturesSettings
from services.orchestrator.admin import AdminServicer
from services.orchestrator.clients import FeaturesClient
from services.orchestrator.release_switch import ReleaseSwitch
from tandem.recommender.v1 import recommender_pb2_grpc
from tandem_client import AsyncClient, EventKind, TandemError, event, user
from tests.contract.feature_fixtures import MakeRelease, MakeSettings

SECONDS = 10.0
UNUSED: Any = (None, None, None)


@dataclass
class Public:
    """The admin API's client, the client it is served with, and whom the orchestrator forgot."""

    client: AsyncClient
    features: FeaturesClient
    forgotten: set[str]

    async def record(self, user_id: str, *item_ids: str) -> None:
        like = EventKind.EVENT_KIND_LIKE
        events = [event(user_id, item, like, event_id=f"{user_id}-{item}") for item in item_ids]
        await self.features.record_events(events, SECONDS)


@asynccontextmanager
async def public(settings: FeaturesSettings) -> AsyncIterator[Public]:
    features_server = ServiceServer(FeaturesService(settings), settings)
    await features_server.start()
    engine = open_database(settings.database_url)
    features = FeaturesClient([f"127.0.0.1:{features_server.port}"])
    switch = ReleaseSwitch(ReleaseRegistry(engine), settings.release_root, [features], 5.0, 60.0)
    live = LiveItems(LiveItemTable(engine))
    forgotten: set[str] = set()
    server = aio.server(interceptors=standard_interceptors(Admission(64, 16), SECONDS))
    recommender_pb2_grpc.add_AdminServiceServicer_to_server(
        AdminServicer(switch, features, live, forgotten.update, UNUSED, UNUSED, UNUSED, SECONDS),
        server,
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with AsyncClient(f"127.0.0.1:{port}") as client:
            yield Public(client, features, forgotten)
    finally:
        await server.stop(None)
        await features.close()
        await features_server.stop()
        engine.dispose()


@pytest.fixture
async def system(make_settings: MakeSettings) -> AsyncIterator[Public]:
    async with public(make_settings()) as opened:
        yield opened


async def test_friends_of_an_upserted_user_show_what_they_lately_did(system: Public) -> None:
    await system.record("a", "i1", "i2")
    await system.record("b", "i2")
    answer = await system.client.upsert_users([user("me", region="de", friends=["a", "b"])])
    assert (answer.accepted, len(answer.errors)) == (1, 0)
    found = await system.features.user_features("me", "", 0.0, SECONDS)
    assert found.region == "de"
    assert found.friends_items.item_ids == ("i2", "i1")
    assert found.friends_items.weights == pytest.approx([2, 0.7], rel=1e-3)
    before = await system.features.user_features("me", "", time.time() - 60, SECONDS)
    assert before.friends_items.item_ids == ()


async def test_what_is_upserted_wins_over_what_a_release_knows(
    make_settings: MakeSettings, make_release: MakeRelease
) -> None:
    release = make_release()
    async with public(make_settings()) as system:
        await system.record("u0", "by-u0")
        await system.record("u2", "by-u2")
        known = await system.features.user_features("u1", release.release_id, 0.0, SECONDS)
        assert (known.region, known.friends_items.item_ids) == ("de", ("by-u0",))
        await system.client.upsert_users([user("u1", region="no", friends=["u2"])])
        known = await system.features.user_features("u1", release.release_id, 0.0, SECONDS)
        assert (known.region, known.friends_items.item_ids) == ("no", ("by-u2",))
        assert known.factors is not None
        assert known.factors.tolist() == release.user_factors[1].tolist()


async def test_good_users_are_stored_and_bad_ones_named(system: Public) -> None:
    bad = [
        user(""),
        user("u", region="r" * 65),
        user("u", friends=["f"] * 1_001),
        user("u", friends=["f", ""]),
        user("a\nb"),
    ]
    answer = await system.client.upsert_users([user("good", region="de"), *bad])
    assert answer.accepted == 1
    assert [(error.index, error.field, error.reason) for error in answer.errors] == [
        (1, "user_id", "must not be empty"),
        (2, "region", "has 65 characters, at most 64 are allowed"),
        (3, "friends", "holds 1,001, at most 1,000 are allowed"),
        (4, "friends[1]", "must not be empty"),
        (5, "user_id", "has a character that cannot be printed"),
    ]
    assert (await system.features.user_features("good", "", 0.0, SECONDS)).region == "de"


async def test_malformed_requests_are_refused_with_the_field_at_fault(system: Public) -> None:
    calls = {
        "users: 1 to 1,000 are allowed, not 0": system.client.upsert_users([]),
        "users: 1 to 1,000 are allowed, not 1,001": system.client.upsert_users(
            [user(f"u{n}") for n in range(1_001)]
        ),
        "users[0].user_id: must not be empty": system.client.upsert_users([user("")]),
        "user_id: must not be empty": system.client.delete_user(""),
    }
    for details, call in calls.items():
        with pytest.raises(TandemError) as caught:
            await call
        assert (caught.value.code, caught.value.details) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            details,
        )


@pytest.mark.parametrize("online_store", ["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
async def test_an_erased_user_is_gone_for_good_and_comes_back_as_a_new_one(
    request: pytest.FixtureRequest,
    make_settings: MakeSettings,
    make_release: MakeRelease,
    online_store: str,
) -> None:
    release, changes = make_release(), dict[str, object]()
    if online_store == "redis":
        changes = {"online_store": "redis", "redis": request.getfixturevalue("empty_redis")}
    settings = make_settings(**changes)
    async with public(settings) as system:
        await system.record("u1", "i1", "i2")
        known = await system.features.user_features("u1", release.release_id, 0.0, SECONDS)
        assert (len(known.seen_item_ids), known.region) == (2, "de")
        gone = await system.client.delete_user("u1")
        assert (gone.events, gone.stored_lists, gone.slates) == (2, 0, 0)
        assert len(system.forgotten) == 1
        again = await system.client.delete_user("u1")
        assert (again.events, again.stored_lists, again.slates) == (0, 0, 0)
        known = await system.features.user_features("u1", release.release_id, 0.0, SECONDS)
        assert (known.item_ids, known.seen_item_ids, known.region) == ((), (), "")
        assert known.factors is not None
        assert not known.factors.size
    _assert_nothing_stored(settings, b"u1")
    async with public(settings) as system:
        await system.record("u1", "i3")
        known = await system.features.user_features("u1", release.release_id, 0.0, SECONDS)
        assert (known.item_ids, known.seen_item_ids, known.region) == (("i3",), ("i3",), "")


def _assert_nothing_stored(settings: FeaturesSettings, user_id: bytes) -> None:
    """Neither table of the SQLite online store, nor key of Redis, names the user."""
    if settings.online_store == "redis":
        host, _, port = settings.redis.partition(":")
        with Redis(host=host, port=int(port)) as client:
            keys = list(client.scan_iter())
    else:
        engine = open_database(f"sqlite:///{settings.store_root / 'online.db'}")
        with engine.connect() as db:
            keys = [
                row[0]
                for table in ("tandem_user_session", "tandem_user_profile")
                for row in db.exec_driver_sql(f"SELECT entity_key FROM {table}")
            ]
        engine.dispose()
    assert keys
    assert not [key for key in keys if user_id in key]


async def test_a_half_life_that_is_not_counted_is_refused(system: Public) -> None:
    with pytest.raises(
        InvalidArgument, match=r"^trend_half_life_days: must be 0 or one of 0\.25, "
    ):
        await system.features.user_features("u", "", 0.0, SECONDS, trend_half_life_days=3.0)
