"""Two replicas of the features service, each taking any event, end where one alone does."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from grpc import aio

from models.events import NEGATIVE, EventKind
from models.trending import HALF_LIVES_DAYS, TrendCounters
from services.common.channels import open_channel
from services.common.database import open_database
from services.common.server import ServiceServer
from services.features.event_log import EventLog
from services.features.repo.config import repo_config
from services.features.server import FeaturesService
from services.features.sessions import Session
from services.features.settings import FeaturesSettings
from services.features.store import FeastStore
from tandem.features.v1 import features_pb2, features_pb2_grpc
from tandem.recommender.v1 import recommender_pb2
from tests.contract.feature_fixtures import MakeSettings

pytestmark = [pytest.mark.postgres, pytest.mark.redis]

SECONDS = 30.0
EVENTS = 1_000
NOON = 1_700_000_000

Replica = Callable[[int], FeaturesSettings]
Stub = features_pb2_grpc.FeatureServiceStub


@pytest.fixture
def replica(
    make_settings: MakeSettings, tmp_path: Path, postgres_url: str, empty_redis: str
) -> Replica:
    """Settings of the n-th replica over one PostgreSQL and one Redis."""
    return lambda n: make_settings(
        store_root=tmp_path / f"features-{n}",
        database_url=postgres_url,
        online_store="redis",
        redis=empty_redis,
        max_concurrent_requests=2_000,
    )


@pytest.fixture
def alone(make_settings: MakeSettings) -> FeaturesSettings:
    """Settings of a service that has no second replica, on SQLite."""
    return make_settings(max_concurrent_requests=2_000)


@asynccontextmanager
async def serving(settings: FeaturesSettings) -> AsyncIterator[aio.Channel]:
    server = ServiceServer(FeaturesService(settings), settings)
    await server.start()
    channel = open_channel([f"127.0.0.1:{server.port}"])
    try:
        yield channel
    finally:
        await channel.close()
        await server.stop()


def events() -> list[recommender_pb2.Event]:
    """Events of one user, of all kinds, in bursts and pauses, no two of one instant."""
    chance, at = random.Random(4), float(NOON)
    sent = []
    for number in range(EVENTS):
        at += chance.choice([1, 20, 300, 2_000, 9_000])
        message = recommender_pb2.Event(
            event_id=f"e{number}",
            user_id="u",
            item_id=f"i{chance.randrange(80)}",
            kind=recommender_pb2.EventKind.Name(chance.randint(1, 11)),
            value=chance.choice([1.0, 2.5]),
            region=chance.choice(["", "de", "fr"]),
        )
        message.timestamp.FromSeconds(int(at))
        sent.append(message)
    chance.shuffle(sent)
    return sent


async def record(channels: Sequence[aio.Channel], sent: list[recommender_pb2.Event]) -> None:
    """Each event in a request of its own, all at once, over the channels in turn."""
    requests = [features_pb2.RecordEventsRequest(events=[message]) for message in sent]
    answers = await asyncio.gather(
        *(
            Stub(channels[number % len(channels)]).RecordEvents(request, timeout=SECONDS)
            for number, request in enumerate(requests)
        )
    )
    assert sum(answer.accepted for answer in answers) == len(sent)


async def features(
    channel: aio.Channel, half_life_days: float
) -> features_pb2.GetUserFeaturesResponse:
    request = features_pb2.GetUserFeaturesRequest(
        user_id="u", region="de", trend_half_life_days=half_life_days
    )
    return await Stub(channel).GetUserFeatures(request, timeout=SECONDS)


def shares(items: features_pb2.WeightedItems) -> dict[str, float]:
    return dict(zip(items.item_ids, items.weights, strict=True))


async def until_counted(channel: aio.Channel, sent: list[recommender_pb2.Event]) -> None:
    """Returns when the trend is that of all these events; replicas look twice a second."""
    good = [message for message in sent if EventKind(message.kind) not in NEGATIVE]
    counters: TrendCounters[str] = TrendCounters()
    counters.add(
        [message.item_id for message in good],
        [message.region for message in good],
        np.array([float(message.timestamp.seconds) for message in good]),
    )
    longest = HALF_LIVES_DAYS[-1]
    everywhere = counters.top(longest, 200)
    expected = dict(zip(everywhere.items, everywhere.shares.tolist(), strict=True))
    async with asyncio.timeout(SECONDS):
        found = await features(channel, longest)
        while shares(found.trend) != pytest.approx(expected, rel=1e-4):
            await asyncio.sleep(0.1)
            found = await features(channel, longest)


def assert_same(
    found: features_pb2.GetUserFeaturesResponse, expected: features_pb2.GetUserFeaturesResponse
) -> None:
    for user in (found, expected):
        user.session.version = 0  # counts transactions, which other replicas share differently
    assert found.session == expected.session
    assert sorted(found.seen_item_ids) == sorted(expected.seen_item_ids)
    assert found.trend.item_ids == expected.trend.item_ids
    assert shares(found.trend) == pytest.approx(shares(expected.trend), rel=1e-4)
    assert shares(found.trend_here) == pytest.approx(shares(expected.trend_here), rel=1e-4)


async def stored_session(settings: FeaturesSettings) -> Session:
    store = FeastStore(repo_config(settings))
    await store.open()
    session, _ = await store.read_user("u", "")
    await store.close()
    return session


async def test_a_thousand_concurrent_events_of_one_user_end_as_on_one_replica(
    replica: Replica, alone: FeaturesSettings
) -> None:
    sent = events()
    async with serving(alone) as channel:
        await record([channel], sent)
        await until_counted(channel, sent)
        expected = [await features(channel, half_life) for half_life in HALF_LIVES_DAYS]
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(serving(replica(n))) for n in range(2)]
        await record(channels, sent)
        for channel in channels:
            await until_counted(channel, sent)
            for half_life, one in zip(HALF_LIVES_DAYS, expected, strict=True):
                assert_same(await features(channel, half_life), one)
    engine = open_database(replica(0).database_url)
    assert EventLog(engine).count() == EVENTS
    in_log = Session.of(EventLog(engine).history("u", 100))
    engine.dispose()
    # Counts, hours and taste are not in the answer: the rows of both stores are compared.
    on_redis, on_sqlite = await stored_session(replica(2)), await stored_session(alone)
    for name in ("counts_minutes", "counts_hours", "counts_days", "hours_watched"):
        assert getattr(on_redis, name) == getattr(on_sqlite, name) == getattr(in_log, name)
    assert on_redis.taste_item_ids == on_sqlite.taste_item_ids == in_log.taste_item_ids
    assert on_redis.taste_weights == on_sqlite.taste_weights
    assert on_redis.session_start == on_sqlite.session_start


async def test_a_replica_that_starts_later_knows_the_trend_of_what_others_took(
    replica: Replica,
) -> None:
    sent = events()[:100]
    async with serving(replica(0)) as first:
        await record([first], sent)
        await until_counted(first, sent)
        async with serving(replica(1)) as second:
            await until_counted(second, sent)
            one, other = await features(first, 14.0), await features(second, 14.0)
            assert len(one.trend.item_ids) > 10
            assert shares(other.trend) == pytest.approx(shares(one.trend), rel=1e-4)
            assert shares(other.trend_here) == pytest.approx(shares(one.trend_here), rel=1e-4)
