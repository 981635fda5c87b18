"""The features service over gRPC: real servers, real stores, and a real kill."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from models.session import SESSION_LENGTH
from services.common.channels import open_channel
from services.common.collected import CollectedReleases
from services.common.database import open_database
from services.common.garbage import collect
from services.common.ports import free_ports
from services.common.releases import ReleaseRegistry
from services.common.server import ServiceServer
from services.features.event_log import EventLog
from services.features.server import FeaturesService
from services.features.sessions import Session
from services.features.settings import FeaturesSettings
from tandem.features.v1 import features_pb2, features_pb2_grpc
from tandem.recommender.v1 import recommender_pb2
from tests.contract.feature_fixtures import MakeRelease, MakeSettings

SECONDS = 10.0

Stub = features_pb2_grpc.FeatureServiceStub
NAME = FeaturesService.names[0]


@asynccontextmanager
async def serving(settings: FeaturesSettings) -> AsyncIterator[aio.Channel]:
    """A channel to a server of its own."""
    server = ServiceServer(FeaturesService(settings), settings)
    await server.start()
    channel = open_channel([f"127.0.0.1:{server.port}"])
    try:
        yield channel
    finally:
        await channel.close()
        await server.stop()


@pytest.fixture
async def channel(make_settings: MakeSettings) -> AsyncIterator[aio.Channel]:
    async with serving(make_settings()) as opened:
        yield opened


def event(event_id: str, user: str = "u", item: str = "") -> recommender_pb2.Event:
    item = item or f"item-{event_id}"
    kind = recommender_pb2.EVENT_KIND_LIKE
    return recommender_pb2.Event(event_id=event_id, user_id=user, item_id=item, kind=kind)


def events(*messages: recommender_pb2.Event) -> features_pb2.RecordEventsRequest:
    return features_pb2.RecordEventsRequest(events=messages)


async def user_features(
    channel: aio.Channel, user: str = "u", release_id: str = "", as_of: float = 0.0
) -> features_pb2.GetUserFeaturesResponse:
    request = features_pb2.GetUserFeaturesRequest(user_id=user, release_id=release_id, as_of=as_of)
    return await Stub(channel).GetUserFeatures(request, timeout=SECONDS)


def message_of(session: Session) -> features_pb2.Session:
    return features_pb2.Session(
        item_ids=session.item_ids,
        kinds=session.kinds,
        timestamps=session.timestamps,
        values=session.values,
        region=session.region,
        version=session.version,
    )


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_a_recorded_event_is_in_the_next_answer(channel: aio.Channel) -> None:
    for number in range(30):
        sent = event(f"e{number}")
        sent.timestamp.FromSeconds(1_600_000_000 + number)
        recorded = await Stub(channel).RecordEvents(events(sent), timeout=SECONDS)
        assert (recorded.accepted, recorded.duplicates) == (1, 0)
        user = await user_features(channel)
        assert user.session.item_ids[-1] == f"item-e{number}"
        assert len(user.seen_item_ids) == number + 1
        assert user.session.version == number + 1


async def test_an_event_without_a_time_happened_now(channel: aio.Channel) -> None:
    before = time.time()
    await Stub(channel).RecordEvents(events(event("e")), timeout=SECONDS)
    [recorded_at] = (await user_features(channel)).session.timestamps
    assert before <= recorded_at <= time.time()


async def test_good_events_are_stored_and_bad_ones_named(channel: aio.Channel) -> None:
    bad = event("bad")
    bad.kind = recommender_pb2.EVENT_KIND_UNSPECIFIED
    future = event("future")
    future.timestamp.FromSeconds(int(time.time()) + 7_200)
    request = events(event("e1"), bad, event("e1"), future, event("e2", user=""))
    answer = await Stub(channel).RecordEvents(request, timeout=SECONDS)
    assert (answer.accepted, answer.duplicates) == (1, 1)
    assert [(error.index, error.field) for error in answer.errors] == [
        (1, "kind"),
        (3, "timestamp"),
        (4, "user_id"),
    ]


async def test_malformed_requests_are_refused_with_the_field_at_fault(
    channel: aio.Channel,
) -> None:
    stub, invalid = Stub(channel), grpc.StatusCode.INVALID_ARGUMENT
    none_valid = events(event("e", user=""))
    calls: dict[str, Awaitable[object]] = {
        "events: ": stub.RecordEvents(events(), timeout=SECONDS),
        "events[0].user_id: ": stub.RecordEvents(none_valid, timeout=SECONDS),
        "user_id: ": user_features(channel, user=""),
        "as_of: ": user_features(channel, as_of=float("nan")),
        "trend_half_life_days: ": stub.GetUserFeatures(
            features_pb2.GetUserFeaturesRequest(user_id="u", trend_half_life_days=3.0),
            timeout=SECONDS,
        ),
        "release_id: ": stub.PrepareRelease(features_pb2.PrepareReleaseRequest(), timeout=SECONDS),
        "item_ids: ": stub.GetItemFeatures(
            features_pb2.GetItemFeaturesRequest(release_id="r"), timeout=SECONDS
        ),
        "item_ids[1]: has a character": stub.GetItemFeatures(
            features_pb2.GetItemFeaturesRequest(release_id="r", item_ids=["i", "\0"]),
            timeout=SECONDS,
        ),
        "user_id: has a character": user_features(channel, user="u\0"),
    }
    for field, call in calls.items():
        code, details = await refusal(call)
        assert code == invalid, field
        assert details.startswith(field)


async def test_an_unknown_user_is_an_empty_answer(channel: aio.Channel) -> None:
    assert await user_features(channel, user="nobody") == features_pb2.GetUserFeaturesResponse(
        session=features_pb2.Session()
    )


async def test_what_was_recorded_a_moment_ago_is_on_the_rise(channel: aio.Channel) -> None:
    def trends(user: str, region: str = "") -> Awaitable[features_pb2.GetUserFeaturesResponse]:
        request = features_pb2.GetUserFeaturesRequest(
            user_id=user, region=region, trend_half_life_days=2.0
        )
        return Stub(channel).GetUserFeatures(request, timeout=SECONDS)

    for number in range(5):
        sent = event(f"e{number}", item=f"i{number}")
        sent.region = "fr" if number == 3 else "de"
        await Stub(channel).RecordEvents(events(sent), timeout=SECONDS)
        async with asyncio.timeout(SECONDS):
            answer = await trends("u")
            while f"i{number}" not in answer.trend.item_ids:
                answer = await trends("u")
    assert sorted(answer.trend_here.item_ids) == ["i0", "i1", "i2", "i4"]  # of the session's region
    assert (await trends("u", "fr")).trend_here.item_ids == ["i3"]
    stranger = await trends("stranger")
    assert sorted(stranger.trend.item_ids) == [f"i{number}" for number in range(5)]
    assert not stranger.HasField("trend_here")
    assert not (await user_features(channel)).HasField("trend")


async def test_a_bounded_read_leaves_later_events_out(channel: aio.Channel) -> None:
    sent = [event(f"e{number}") for number in range(5)]
    for number, message in enumerate(sent):
        message.timestamp.FromSeconds(1_000 + number)
    await Stub(channel).RecordEvents(events(*sent), timeout=SECONDS)
    user = await user_features(channel, as_of=1_002.0)
    assert user.session.item_ids == ["item-e0", "item-e1", "item-e2"]
    assert len(user.seen_item_ids) == 5


async def test_seen_items_are_of_the_kinds_wanted_and_after_the_version_known(
    channel: aio.Channel,
) -> None:
    async def seen(*kinds: int, since: int = 0) -> tuple[bool, list[str]]:
        request = features_pb2.GetUserFeaturesRequest(
            user_id="u", seen_kinds=kinds, seen_since_version=since
        )
        answer = await Stub(channel).GetUserFeatures(request, timeout=SECONDS)
        return answer.seen_is_increment, sorted(answer.seen_item_ids)

    view, like = recommender_pb2.EVENT_KIND_VIEW, recommender_pb2.EVENT_KIND_LIKE
    await Stub(channel).RecordEvents(events(event("e1"), event("e2")), timeout=SECONDS)
    assert await seen() == (False, ["item-e1", "item-e2"])
    viewed = event("e3")
    viewed.kind = view
    await Stub(channel).RecordEvents(events(viewed), timeout=SECONDS)
    assert await seen(view) == (False, ["item-e3"])
    assert await seen(view, since=1) == await seen(since=1) == (True, ["item-e3"])
    assert await seen(like, since=1) == await seen(like, since=2) == (True, [])
    assert await seen(like, since=9) == (False, ["item-e1", "item-e2"])
    for kind in (0, 12):
        code, details = await refusal(seen(view, kind))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert details.startswith("seen_kinds[1]: ")


async def test_a_prepared_release_serves_users_and_items(
    channel: aio.Channel, make_release: MakeRelease
) -> None:
    release = make_release()
    request = features_pb2.PrepareReleaseRequest(release_id=release.release_id)
    for _ in range(2):
        answer = await Stub(channel).PrepareRelease(request, timeout=SECONDS)
        assert (answer.users, answer.items) == (3, 250)
    user = await user_features(channel, user="u1", release_id=release.release_id)
    assert (list(user.factors), user.region, list(user.friends)) == (
        release.user_factors[1].tolist(),
        "de",
        ["u0"],
    )
    asked = features_pb2.GetItemFeaturesRequest(
        release_id=release.release_id, item_ids=["i8", "ghost", "i3"]
    )
    items = (await Stub(channel).GetItemFeatures(asked, timeout=SECONDS)).items
    assert [(item.item_id, item.title, item.year) for item in items] == [
        ("i8", "Title 8", 1908),
        ("i3", "Title 3", 1903),
    ]
    assert list(items[0].vector) == release.item_vectors[8].tolist()


async def test_a_release_that_does_not_exist_is_a_failed_precondition(
    channel: aio.Channel,
) -> None:
    code, details = await refusal(user_features(channel, release_id="no-such-release"))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "no-such-release" in details


async def test_the_active_release_is_prepared_before_the_service_is_ready(
    make_settings: MakeSettings, make_release: MakeRelease, tmp_path: Path
) -> None:
    settings, release = make_settings(), make_release()
    engine = open_database(settings.database_url)
    registry = ReleaseRegistry(engine)
    registry.add(release.release_id, {})
    registry.activate(release.release_id)
    engine.dispose()
    expected = release.user_factors[1].tolist()
    async with serving(settings) as channel:
        release.path.rename(tmp_path / "moved away")
        user = await user_features(channel, user="u1", release_id=release.release_id)
        assert list(user.factors) == expected


async def test_rows_of_a_collected_release_are_dropped(
    make_settings: MakeSettings, make_release: MakeRelease
) -> None:
    settings, gone, active = make_settings(), make_release(), make_release()
    engine = open_database(settings.database_url)
    registry, collected = ReleaseRegistry(engine), CollectedReleases(engine)
    for release in (gone, active):
        registry.add(release.release_id, {})
    registry.activate(active.release_id)
    async with serving(settings) as channel:
        user = await user_features(channel, user="u1", release_id=gone.release_id)
        assert list(user.factors) == gone.user_factors[1].tolist()
    assert collect(engine, settings.release_root, keep=0).releases == [gone.release_id]
    async with serving(settings) as channel:
        ends = time.monotonic() + SECONDS
        while collected.with_rows():
            assert time.monotonic() < ends
            await asyncio.sleep(0.05)
        code, _ = await refusal(user_features(channel, user="u1", release_id=gone.release_id))
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        user = await user_features(channel, user="u1", release_id=active.release_id)
        assert list(user.factors) == active.user_factors[1].tolist()
    engine.dispose()


async def test_the_server_reports_its_health_and_describes_itself(channel: aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    status = await health.Check(health_pb2.HealthCheckRequest(service=NAME), timeout=SECONDS)
    assert status.status == health_pb2.HealthCheckResponse.SERVING
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    answers = [a async for a in reflection.ServerReflectionInfo(iter([asked]), timeout=SECONDS)]
    assert NAME in {service.name for service in answers[0].list_services_response.service}


Replicas = Callable[[int], FeaturesSettings]


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres-redis", marks=[pytest.mark.postgres, pytest.mark.redis]),
    ]
)
def replica(
    request: pytest.FixtureRequest, make_settings: MakeSettings, tmp_path: Path
) -> Replicas:
    """Settings of the n-th replica, over one database; on SQLite each has its own online store."""
    stores: dict[str, object] = {"max_concurrent_requests": 200}
    if request.param == "postgres-redis":
        stores["database_url"] = request.getfixturevalue("postgres_url")
        stores["online_store"] = "redis"
        stores["redis"] = request.getfixturevalue("empty_redis")
    return lambda n: make_settings(store_root=tmp_path / f"features-{n}", **stores)


async def test_a_burst_over_two_replicas_ends_in_what_the_log_says(replica: Replicas) -> None:
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(serving(replica(n))) for n in range(2)]
        burst = [event(f"e{number}", item=f"i{number % 40}") for number in range(200)]
        for message in burst:
            message.timestamp.FromSeconds(random.Random(message.event_id).randrange(50))
        await asyncio.gather(
            *(
                Stub(channels[number % 2]).RecordEvents(events(message), timeout=SECONDS)
                for number, message in enumerate(burst)
            )
        )
        engine = open_database(replica(0).database_url)
        expected = message_of(Session.of(EventLog(engine).history("u", SESSION_LENGTH)))
        engine.dispose()
        for channel in channels:
            user = await user_features(channel)
            assert user.session == expected
            assert sorted(user.seen_item_ids) == sorted(f"i{number}" for number in range(40))


async def test_what_one_replica_acknowledged_the_other_answers_at_once(replica: Replicas) -> None:
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(serving(replica(n))) for n in range(2)]
        for number in range(40):
            writer, reader = channels[number % 2], channels[1 - number % 2]
            await Stub(writer).RecordEvents(events(event(f"e{number}")), timeout=SECONDS)
            user = await user_features(reader)
            assert user.session.item_ids[-1] == f"item-e{number}"
            assert len(user.seen_item_ids) == number + 1


@contextmanager
def process(settings: FeaturesSettings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The service as a process; killed at the end unless it has gone."""
    names = ("host", "port", "release_root", "database_url", "store_root")
    variables = {f"FEATURES_{name.upper()}": str(getattr(settings, name)) for name in names}
    path = os.pathsep.join(sys.path)
    with (
        log.open("ab") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "services.features"],
            env={**os.environ, **variables, "PYTHONPATH": path},
            stderr=stderr,
        ) as running,
    ):
        try:
            yield running
        finally:
            running.kill()


async def until_serving(channel: aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=NAME)
    answer = await health.Check(request, wait_for_ready=True, timeout=60)
    while answer.status != health_pb2.HealthCheckResponse.SERVING:
        await asyncio.sleep(0.05)
        answer = await health.Check(request, timeout=SECONDS)


async def test_what_was_acknowledged_before_a_kill_is_answered_after_it(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(port=free_ports(1)[0])
    log = tmp_path / "features.log"
    acknowledged: list[str] = []
    enough = asyncio.Event()
    async with open_channel([f"127.0.0.1:{settings.port}"]) as channel:

        async def write(writer: int) -> None:
            for number in range(10_000):
                sent = event(f"{writer}-{number}")
                await Stub(channel).RecordEvents(events(sent), timeout=SECONDS)
                acknowledged.append(sent.item_id)
                if len(acknowledged) == 100:
                    enough.set()

        with process(settings, log) as first:
            await until_serving(channel)
            writers = [asyncio.create_task(write(writer)) for writer in range(4)]
            await asyncio.wait_for(enough.wait(), SECONDS)
            first.send_signal(signal.SIGKILL)
            first.wait()
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
        with process(settings, log) as second:
            await until_serving(channel)
            user = await user_features(channel)
            assert set(acknowledged) <= set(user.seen_item_ids)
            engine = open_database(settings.database_url)
            in_log = EventLog(engine).history("u", SESSION_LENGTH)
            engine.dispose()
            assert user.session == message_of(Session.of(in_log))
            second.terminate()
            assert second.wait(timeout=SECONDS) == 0


async def test_upserted_items_are_known_at_once_and_bad_ones_named(
    make_settings: MakeSettings, make_release: MakeRelease
) -> None:
    release = make_release(n_items=20)
    async with serving(make_settings()) as channel:
        request = features_pb2.UpsertItemsRequest(
            items=[
                recommender_pb2.Item(item_id="new", title="New", genres=["War"], year=2026),
                recommender_pb2.Item(item_id="", title="nobody's"),
                recommender_pb2.Item(item_id="i3", title="Renamed", adult=True),
            ]
        )
        answer = await Stub(channel).UpsertItems(request, timeout=SECONDS)
        assert answer.accepted == 2
        assert [(error.index, error.field) for error in answer.errors] == [(1, "item_id")]
        asked = features_pb2.GetItemFeaturesRequest(
            release_id=release.release_id, item_ids=["new", "i3", "i4", "nobody"]
        )
        items = (await Stub(channel).GetItemFeatures(asked, timeout=SECONDS)).items
        assert [(i.item_id, i.title, i.adult, len(i.vector)) for i in items] == [
            ("new", "New", False, 0),
            ("i3", "Renamed", True, 8),
            ("i4", "Title 4", False, 8),
        ]
        code, text = await refusal(
            Stub(channel).UpsertItems(features_pb2.UpsertItemsRequest(), timeout=SECONDS)
        )
        assert code is grpc.StatusCode.INVALID_ARGUMENT and text.startswith("items: ")
