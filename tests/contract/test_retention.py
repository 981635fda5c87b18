"""How events expire, on SQLite and PostgreSQL alike."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.event import listen

from services.common.database import open_database
from services.common.errors import Unavailable
from services.common.leases import Lease
from services.features.async_log import AsyncEventLog
from services.features.event_log import EventLog
from services.features.events import Event
from services.features.memory import InMemoryStore
from services.features.publisher import SessionPublisher
from services.features.recorder import EventRecorder
from services.features.retention import Retention
from services.features.sessions import Session
from tests.contract.databases import engine

__all__ = ["engine"]

LONG_AGO = 1_000.0


@dataclass
class Replica:
    """The parts that take events in and let them expire after a day."""

    log: AsyncEventLog
    store: InMemoryStore
    recorder: EventRecorder
    retention: Retention

    @classmethod
    def over(cls, engine: Engine, days: float = 1.0) -> "Replica":
        log, store = AsyncEventLog(EventLog(engine), 1_000), InMemoryStore()
        publisher = SessionPublisher(log, store)
        lease = Lease(engine, "retention", 60.0)
        return cls(
            log, store, EventRecorder(log, publisher), Retention(log, publisher, lease, days)
        )


@pytest.fixture
async def replica(engine: Engine) -> AsyncIterator[Replica]:
    made = Replica.over(engine)
    yield made
    await made.retention.close()
    await made.log.close()


def event(event_id: str, user: str = "u", at: float = LONG_AGO) -> Event:
    return Event(event_id, user, f"item-{event_id}", 4, 0.0, at)


async def seen(replica: Replica, user: str, version: int = 0) -> set[str]:
    return set((await replica.log.seen(user, version)).item_ids)


def record_again_days_ago(engine: Engine, days: float, event_ids: str) -> None:
    """Moves back when events whose ids are LIKE a pattern were recorded."""
    with engine.begin() as db:
        db.execute(
            text("UPDATE events SET recorded_at = :at WHERE event_id LIKE :ids"),
            {"at": time.time() - days * 86_400, "ids": event_ids},
        )


async def test_age_counts_from_when_an_event_was_recorded(replica: Replica, engine: Engine) -> None:
    await replica.recorder.record([event("old", at=time.time()), event("new", at=LONG_AGO)])
    record_again_days_ago(engine, 2, "old")
    await replica.retention.expire()
    assert [e.event_id for e in (await replica.log.history("u", 10)).events] == ["new"]


async def test_readers_see_at_once_that_events_expired(replica: Replica, engine: Engine) -> None:
    await replica.recorder.record([event("old"), event("v", user="v")])
    assert await seen(replica, "u", 1) == {"item-old"}
    await replica.recorder.record([event("new", at=2_000.0)])
    record_again_days_ago(engine, 2, "old")
    await replica.retention.expire()
    assert (await replica.log.version("u"), await replica.log.version("v")) == (3, 1)
    assert await seen(replica, "u", 3) == {"item-new"}
    assert (await replica.store.read_user("u", ""))[0].item_ids == ["item-new"]


async def test_a_user_whose_events_all_expired_has_an_empty_session_of_a_current_version(
    replica: Replica, engine: Engine
) -> None:
    await replica.recorder.record([event("old")])
    record_again_days_ago(engine, 2, "old")
    await replica.retention.expire()
    history = await replica.log.history("u", 10)
    assert (history.events, history.version) == ([], 2)
    assert (await replica.store.read_user("u", ""))[0] == Session.of(history)
    assert await seen(replica, "u", 2) == set()


async def test_many_events_expire_in_batches_that_live_events_pass_between(
    replica: Replica, engine: Engine
) -> None:
    await replica.recorder.record([event(f"old{n}", user=f"u{n % 7}") for n in range(2_000)])
    record_again_days_ago(engine, 2, "old%")
    expiring = asyncio.create_task(replica.retention.expire())
    taken = 0
    while not expiring.done():
        await replica.recorder.record([event(f"live{taken}", user="live")])
        taken += 1
    assert await expiring == 4
    assert taken > 4
    assert len((await replica.log.history("live", 10_000)).events) == taken
    assert [await seen(replica, f"u{n}") for n in range(7)] == [set()] * 7


async def test_expiry_goes_on_past_events_that_were_erased_meanwhile(
    replica: Replica, engine: Engine
) -> None:
    await replica.recorder.record([event(f"erased{n}", user="erased") for n in range(500)])
    await replica.recorder.record([event("old")])
    record_again_days_ago(engine, 2, "%")
    erased: list[str] = []

    def erase(_db: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO user_versions") and not erased:
            erased.append("erased")  # first: the deletion below comes here, too
            with engine.begin() as db:
                db.execute(text("DELETE FROM events WHERE user_id = 'erased'"))

    listen(engine, "before_cursor_execute", erase)
    assert await replica.retention.expire() == 2
    assert (await replica.log.history("u", 10)).events == []


async def test_retention_goes_on_after_any_failure(replica: Replica, engine: Engine) -> None:
    with engine.begin() as db:
        db.execute(text("ALTER TABLE leases RENAME TO moved"))
    running = Retention(
        replica.log, SessionPublisher(replica.log, replica.store), Lease(engine, "r", 60.0), 1.0
    )
    running.start()
    await replica.log.write(lambda: None)  # after the attempt to take the lease
    await asyncio.sleep(0.05)
    assert running._running is not None and not running._running.done()
    await running.close()


@pytest.mark.postgres
async def test_a_database_that_takes_no_writes_is_unavailable(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    with engine.begin() as db:
        db.execute(
            text(
                "ALTER DATABASE "
                + str(engine.url.database)
                + " SET default_transaction_read_only = on"
            )
        )
    engine.dispose()  # the next connections read only, as after a failover
    log = AsyncEventLog(EventLog(engine), 1_000)
    with pytest.raises(Unavailable):
        await log.append([event("e")])
    await log.close()
    engine.dispose()


async def test_one_replica_works_at_a_time(replica: Replica, engine: Engine) -> None:
    await replica.recorder.record([event("old")])
    record_again_days_ago(engine, 2, "old")
    other = Lease(engine, "retention", 60.0)
    assert other.take()
    assert await replica.retention.expire() == 0
    assert await replica.log.version("u") == 1
    assert Lease(engine, "another job", 60.0).take()


async def test_a_lease_that_was_not_renewed_passes_on(engine: Engine) -> None:
    assert Lease(engine, "job", -1.0).take()
    second, third = Lease(engine, "job", 60.0), Lease(engine, "job", 60.0)
    assert second.take()
    assert second.take()
    assert not third.take()


async def test_without_a_limit_nothing_expires(engine: Engine) -> None:
    keeper = Replica.over(engine, days=0.0)
    await keeper.recorder.record([event("old")])
    record_again_days_ago(engine, 20_000, "old")
    keeper.retention.start()
    await asyncio.sleep(0.05)
    assert await keeper.log.version("u") == 1
    await keeper.retention.close()
    await keeper.log.close()
