"""A reader never gets an old session, whatever happened between log and online store."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from models.session import SESSION_LENGTH
from services.common.database import open_database
from services.common.errors import FailedPrecondition, InvalidArgument
from services.common.ports import free_ports
from services.features.async_log import AsyncEventLog
from services.features.event_log import EventLog
from services.features.events import MAX_EVENTS, Event
from services.features.memory import InMemoryStore
from services.features.publisher import SessionPublisher
from services.features.recorder import EventRecorder
from services.features.release_loader import ReleaseLoader
from services.features.release_rows import UserProfile
from services.features.repo.config import repo_config
from services.features.seen import Seen
from services.features.sessions import Session
from services.features.store import FeastStore, FeatureStore
from services.features.user_table import UserTable
from services.features.users import UserReader
from tests.contract.feature_fixtures import MakeRelease, MakeSettings


@dataclass
class System:
    """The service's parts without gRPC."""

    log: EventLog
    async_log: AsyncEventLog
    store: FeatureStore
    publisher: SessionPublisher
    recorder: EventRecorder
    reader: UserReader
    users: UserTable

    @classmethod
    def over(cls, engine: Engine, store: FeatureStore, releases: Path) -> "System":
        log = EventLog(engine)
        async_log = AsyncEventLog(log, seen_cache_items=10_000)
        publisher = SessionPublisher(async_log, store)
        loader = ReleaseLoader(releases, store, async_log.erased)
        reader = UserReader(async_log, store, publisher, loader)
        recorder = EventRecorder(async_log, publisher)
        return cls(log, async_log, store, publisher, recorder, reader, UserTable(engine))

    async def close(self) -> None:
        await self.publisher.close()
        await self.async_log.close()
        await self.store.close()


@pytest.fixture
async def system(tmp_path: Path, sqlite_url: str) -> AsyncIterator[System]:
    engine = open_database(sqlite_url)
    made = System.over(engine, InMemoryStore(), tmp_path / "releases")
    yield made
    await made.close()
    engine.dispose()


@pytest.fixture
async def system_without_store(
    sqlite_url: str, make_settings: MakeSettings, tmp_path: Path
) -> AsyncIterator[System]:
    """A system whose online store is a Redis that does not answer."""
    engine = open_database(sqlite_url)
    settings = make_settings(online_store="redis", redis=f"127.0.0.1:{free_ports(1)[0]}")
    store = FeastStore(repo_config(settings))
    await store.open()
    made = System.over(engine, store, tmp_path / "releases")
    yield made
    await made.close()
    engine.dispose()


def event(event_id: str, user: str = "u", at: float = 100.0) -> Event:
    return Event(event_id, user, f"item-{event_id}", 4, 0.0, at)


def expected(system: System, user: str = "u") -> Session:
    return Session.of(system.log.history(user, SESSION_LENGTH))


def _wait_for_events(log: EventLog, count: int) -> None:
    while log.count() < count:
        time.sleep(0.002)


async def test_a_recorded_event_is_in_the_online_store_when_it_is_acknowledged(
    system: System,
) -> None:
    await system.recorder.record([event("e1")])
    assert (await system.store.read_user("u", ""))[0] == expected(system)


async def test_a_stale_session_is_answered_fresh_and_repaired(system: System) -> None:
    await system.recorder.record([event("e1")])
    system.log.append([event("e2")])  # as by a process that was killed before it pushed
    user = await system.reader.read("u", "")
    assert user.session == expected(system)
    assert set(user.seen.item_ids) == {"item-e1", "item-e2"}
    await system.publisher.close()
    assert (await system.store.read_user("u", ""))[0] == expected(system)


async def test_a_session_newer_than_the_log_is_not_believed(system: System) -> None:
    await system.recorder.record([event("e1")])
    await system.store.push_sessions({"u": Session(["ghost"], [4], [1.0], [0.0], "", 99)})
    assert (await system.reader.read("u", "")).session.item_ids == ["item-e1"]


async def test_an_import_is_visible_to_the_next_reader(system: System) -> None:
    await system.recorder.record([event("e1")])
    await system.reader.read("u", "")
    row = {"user_id": "u", "item_id": "old", "kind": 1, "value": 4.0, "timestamp": 5.0}
    system.log.import_frame(pd.DataFrame([{**row, "region": "de"}]))
    user = await system.reader.read("u", "")
    assert user.session.item_ids == ["old", "item-e1"]
    assert set(user.seen.item_ids) == {"old", "item-e1"}


async def test_an_unknown_user_is_an_empty_answer(system: System) -> None:
    user = await system.reader.read("nobody", "")
    assert (user.session, user.seen) == (Session(), Seen())
    assert user.profile == UserProfile("nobody")


async def test_a_bound_leaves_later_events_out_and_reaches_further_back(system: System) -> None:
    events = [event(f"e{n}", at=float(n)) for n in range(2 * SESSION_LENGTH)]
    await system.recorder.record(events)
    user = await system.reader.read("u", "", as_of=SESSION_LENGTH + 9.5)
    assert user.session.timestamps == [float(n) for n in range(10, SESSION_LENGTH + 10)]
    assert user.session.version == system.log.version("u")


async def test_a_bound_after_the_last_event_changes_nothing(system: System) -> None:
    await system.recorder.record([event("e1", at=10.0)])
    assert (await system.reader.read("u", "", as_of=10.0)).session == expected(system)


async def test_a_bound_before_the_first_event_leaves_an_empty_session(system: System) -> None:
    await system.recorder.record([event("e1", at=10.0)])
    user = await system.reader.read("u", "", as_of=9.0)
    assert user.session == Session([], [], [], [], "", 1)


async def test_a_profile_comes_from_the_release_asked_for(
    system: System, make_release: MakeRelease
) -> None:
    release = make_release()
    profile = (await system.reader.read("u2", release.release_id)).profile
    assert profile.friends == ["u0", "u1"]
    assert profile.factors == release.user_factors[2].tolist()


async def test_a_release_that_does_not_exist_is_named(system: System) -> None:
    with pytest.raises(FailedPrecondition, match="'no-such-release'"):
        await system.reader.read("u", "no-such-release")


async def test_a_single_event_does_not_wait_behind_a_bulk_of_users(system: System) -> None:
    bulk = [event(f"b{n}", user=f"u{n}") for n in range(1_500)]
    large = asyncio.create_task(system.recorder.record(bulk))
    await asyncio.to_thread(_wait_for_events, system.log, len(bulk))
    await system.recorder.record([event("single", user="someone")])
    assert not large.done()
    assert (await large).accepted == 1_500
    assert (await system.store.read_user("u1499", ""))[0].version == 1


async def test_bad_events_are_named_by_position_and_good_ones_stored(system: System) -> None:
    bad_kind, bad_user = Event("x", "u", "i", 0, 0.0, 1.0), Event("y", "", "i", 4, 0.0, 1.0)
    recorded = await system.recorder.record([bad_kind, event("e1"), event("e1"), bad_user])
    assert (recorded.accepted, recorded.duplicates) == (1, 1)
    assert [(index, error.field) for index, error in recorded.errors] == [
        (0, "kind"),
        (3, "user_id"),
    ]


async def test_an_event_from_too_far_ahead_is_refused_and_the_others_are_stored(
    system: System,
) -> None:
    ahead = [event("hour", at=time.time() + 3_500), event("day", at=time.time() + 86_400)]
    recorded = await system.recorder.record(ahead)
    assert [(index, error.field) for index, error in recorded.errors] == [(1, "timestamp")]
    assert (await system.reader.read("u", "")).session.item_ids == ["item-hour"]


async def test_a_request_without_one_valid_event_is_refused(system: System) -> None:
    with pytest.raises(InvalidArgument, match=r"^events\[0\]\.user_id: must not be empty"):
        await system.recorder.record([Event("y", "", "i", 4, 0.0, 1.0)])
    for count in (0, MAX_EVENTS + 1):
        with pytest.raises(InvalidArgument, match=r"^events: 1 to 10,000 are allowed"):
            await system.recorder.record([event(f"e{n}") for n in range(count)])
    assert system.log.count() == 0


async def test_without_an_online_store_events_are_taken_and_sessions_answered(
    system_without_store: System,
) -> None:
    recorded = await system_without_store.recorder.record([event("e1")])
    assert recorded.accepted == 1
    user = await system_without_store.reader.read("u", "any-release")
    assert user.session.item_ids == ["item-e1"]
    assert set(user.seen.item_ids) == {"item-e1"}
