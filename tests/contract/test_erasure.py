"""What an erasure promises, on SQLite and PostgreSQL alike."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, select

from services.common import stored
from services.common.database import metadata, open_database
from services.common.erased import ErasedUsers, Tombstone, user_hash
from services.common.errors import Unavailable
from services.common.stored import StoredRecommendations
from services.features.async_log import AsyncEventLog
from services.features.erasure import UserEraser
from services.features.event_log import EventLog, ImportResult, erase_events
from services.features.events import Event
from services.features.memory import InMemoryStore
from services.features.publisher import SessionPublisher
from services.features.recorder import EventRecorder
from services.features.release_loader import ReleaseLoader
from services.features.release_rows import RowCounts, UserProfile
from services.features.seen import Seen
from services.features.sessions import Session
from services.features.user_table import User, UserTable, erase_user
from services.features.users import UserReader
from tests.contract.databases import engine

__all__ = ["engine"]


class Outside:
    """An online store that may be down or slow when something is to be erased from it."""

    def __init__(self, store: InMemoryStore) -> None:
        self.store = store
        self.down = False
        self.reached = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()

    async def erase(self, user_id: str, _: Tombstone) -> None:
        self.reached.set()
        await self.answers.wait()
        if self.down:
            raise Unavailable("the online store does not answer")
        await self.store.erase_user(user_id, ["r"])


@dataclass
class Replica:
    """The service's parts without gRPC."""

    log: AsyncEventLog
    store: InMemoryStore
    outside: Outside
    recorder: EventRecorder
    reader: UserReader
    eraser: UserEraser
    publisher: SessionPublisher

    @classmethod
    def over(cls, engine: Engine, store: InMemoryStore) -> "Replica":
        log, outside = AsyncEventLog(EventLog(engine), 1_000), Outside(store)
        publisher = SessionPublisher(log, store)
        loader = ReleaseLoader(Path("nowhere"), store, log.erased)
        tables = {"events": erase_events, "users": erase_user, "stored_lists": stored.delete_user}
        return cls(
            log,
            store,
            outside,
            EventRecorder(log, publisher),
            UserReader(log, store, publisher, loader),
            UserEraser(engine, log, publisher, tables, [outside.erase]),
            publisher,
        )

    async def close(self) -> None:
        await self.eraser.close()
        await self.publisher.close()
        await self.log.close()


@pytest.fixture
async def replica(engine: Engine) -> AsyncIterator[Replica]:
    """A replica whose store holds release r, with a profile of u."""
    made = Replica.over(engine, InMemoryStore())
    await made.store.push_users("r", [UserProfile("u", "de", ["v"], [0.5])])
    await made.store.complete_release("r", RowCounts(users=1, items=0))
    yield made
    await made.close()


def event(event_id: str, user: str = "u", at: float = 100.0) -> Event:
    return Event(event_id, user, f"item-{event_id}", 4, 0.0, at)


def frame(times: list[float], user: str = "u") -> pd.DataFrame:
    row = {"user_id": user, "item_id": "i", "kind": 1, "value": 4.0, "region": ""}
    return pd.DataFrame([{**row, "timestamp": at} for at in times])


def everything(engine: Engine) -> str:
    """All rows of all tables, as text."""
    with engine.connect() as db:
        return str([db.execute(select(table)).all() for table in metadata.sorted_tables])


async def fill(replica: Replica, engine: Engine, user: str) -> None:
    await replica.recorder.record([event(f"{user}{n}", user) for n in range(3)])
    UserTable(engine).upsert([User(user, "fr", ("w",))])
    for release in ("r", "s"):
        StoredRecommendations(engine).write(release, [(user, ["i"], [1.0]), ("other", ["i"], [1])])


async def test_no_table_names_an_erased_user_and_others_keep_all(
    replica: Replica, engine: Engine
) -> None:
    await fill(replica, engine, "erased-one")
    await replica.recorder.record([event("kept", "other")])
    before = await replica.reader.read("other", "r")
    counts = await replica.eraser.erase("erased-one")
    assert counts == {"events": 3, "users": 1, "stored_lists": 2}
    assert "erased-one" not in everything(engine)
    assert user_hash("erased-one") in everything(engine)
    assert (await replica.reader.read("other", "r")).session == before.session
    assert StoredRecommendations(engine).read("r", "other") == (["i"], [1.0])


async def test_the_file_of_an_sqlite_database_holds_nothing_of_an_erased_user(
    sqlite_url: str, tmp_path: Path
) -> None:
    engine = open_database(sqlite_url)
    replica = Replica.over(engine, InMemoryStore())
    many = [event(f"{user}-{n}", user) for n in range(500) for user in ("erased-one", "other")]
    await replica.recorder.record(many)
    await replica.eraser.erase("erased-one")
    await replica.close()
    engine.dispose()  # moves what the journal holds to the file
    content = (tmp_path / "tandem.db").read_bytes()
    assert (b"erased-one" in content, b"other" in content) == (False, True)


async def test_an_erased_user_is_unknown_to_readers_and_to_the_online_store(
    replica: Replica, engine: Engine
) -> None:
    await fill(replica, engine, "u")
    await replica.eraser.erase("u")
    found = await replica.reader.read("u", "r")
    assert (found.session, found.seen, found.profile) == (Session(), Seen(), UserProfile("u"))
    assert await replica.store.read_user("u", "r") == (Session(), UserProfile("u"))


async def test_erasing_again_finds_nothing_and_is_no_error(
    replica: Replica, engine: Engine
) -> None:
    await fill(replica, engine, "u")
    await replica.eraser.erase("u")
    for user in ("u", "never seen"):
        assert set((await replica.eraser.erase(user)).values()) == {0}


async def test_what_is_upserted_and_recorded_later_is_a_new_users(
    replica: Replica, engine: Engine
) -> None:
    await fill(replica, engine, "u")
    await replica.eraser.erase("u")
    await replica.recorder.record([event("back")])
    UserTable(engine).upsert([User("u", "no", ())])
    found = await replica.reader.read("u", "r")
    assert list(found.session.item_ids) == list(found.seen.item_ids) == ["item-back"]
    assert found.profile == UserProfile("u", "no", ())


async def test_versions_grow_over_erasures_so_that_no_old_session_is_believed(
    replica: Replica, engine: Engine
) -> None:
    versions = []
    for life in range(3):
        for number in range(2):
            await replica.recorder.record([event(f"{life}-{number}")])
            versions.append(await replica.log.version("u"))
        old, _ = await replica.store.read_user("u", "")
        await replica.eraser.erase("u")
        await replica.store.push_sessions({"u": old})  # by a replica that read before the erasure
        assert (await replica.reader.read("u", "")).session == Session()
    assert versions == sorted(set(versions))
    await replica.recorder.record([event("new")])
    found = await replica.reader.read("u", "")
    assert (found.session.item_ids, set(found.seen.item_ids)) == (["item-new"], {"item-new"})


async def test_what_another_replica_remembers_as_seen_does_not_come_back(
    replica: Replica, engine: Engine
) -> None:
    other = Replica.over(engine, replica.store)
    await other.recorder.record([event("old")])
    assert set((await other.reader.read("u", "")).seen.item_ids) == {"item-old"}
    await replica.eraser.erase("u")
    assert set((await other.reader.read("u", "")).seen.item_ids) == set()
    await other.recorder.record([event("new")])  # would grow a set of the version before
    assert set((await other.reader.read("u", "")).seen.item_ids) == {"item-new"}
    await other.close()


async def test_after_a_kill_between_database_and_store_nothing_shows_and_asking_again_finishes(
    replica: Replica, engine: Engine
) -> None:
    await fill(replica, engine, "u")
    replica.outside.down = True
    with pytest.raises(Unavailable, match="online store"):
        await replica.eraser.erase("u")
    assert (await replica.store.read_user("u", "r"))[0].version == 1
    found = await replica.reader.read("u", "r")
    assert (found.session, found.seen, found.profile) == (Session(), Seen(), UserProfile("u"))
    assert StoredRecommendations(engine).read("r", "u") is None
    replica.outside.down = False
    await replica.eraser.erase("u")
    assert await replica.store.read_user("u", "r") == (Session(), UserProfile("u"))
    assert ErasedUsers(engine).pending() == []


async def test_an_erasure_goes_on_when_its_caller_gives_up(
    replica: Replica, engine: Engine
) -> None:
    await fill(replica, engine, "u")
    replica.outside.answers.clear()
    erasing = asyncio.create_task(replica.eraser.erase("u"))
    await replica.outside.reached.wait()
    erasing.cancel()
    await asyncio.gather(erasing, return_exceptions=True)
    assert ErasedUsers(engine).pending() == ["u"]
    replica.outside.answers.set()
    await replica.eraser.close()
    assert ErasedUsers(engine).pending() == []
    assert await replica.store.read_user("u", "r") == (Session(), UserProfile("u"))


async def test_a_session_that_another_replica_pushes_late_is_removed_too(
    replica: Replica, engine: Engine
) -> None:
    await fill(replica, engine, "u")
    late, _ = await replica.store.read_user("u", "")
    await replica.eraser.erase("u")
    await replica.store.push_sessions({"u": late})
    await replica.eraser.close()  # as a stop of the service does; else some seconds later
    assert (await replica.store.read_user("u", ""))[0] == Session()


async def test_a_start_finishes_what_a_kill_left_pending(replica: Replica, engine: Engine) -> None:
    await fill(replica, engine, "erased-one")
    replica.outside.down = True
    with pytest.raises(Unavailable):
        await replica.eraser.erase("erased-one")
    await replica.eraser.finish_pending()  # the store is still down: that is no reason to fail
    assert ErasedUsers(engine).pending() == ["erased-one"]
    next_start = Replica.over(engine, replica.store)
    await next_start.eraser.finish_pending()
    assert (await replica.store.read_user("erased-one", "r"))[0] == Session()
    assert "erased-one" not in everything(engine)
    await next_start.close()


async def test_an_import_leaves_out_what_an_erased_user_did_before(
    replica: Replica, engine: Engine
) -> None:
    log = EventLog(engine)
    both = pd.concat([frame([1.0, 2.0], "erased-one"), frame([1.0], "other")], ignore_index=True)
    assert log.import_frame(both) == ImportResult(3, 0)
    await replica.eraser.erase("erased-one")
    assert log.import_frame(both) == ImportResult(0, 1, 2)
    assert "erased-one" not in everything(engine)
    later = time.time() + 60
    assert log.import_frame(frame([2.0, later], "erased-one")) == ImportResult(1, 0, 1)
    assert [e.timestamp for e in log.recent("erased-one", 10)] == [later]


async def test_a_list_that_training_wrote_after_the_erasure_is_not_read(
    replica: Replica, engine: Engine
) -> None:
    await replica.eraser.erase("u")
    StoredRecommendations(engine).write("r", [("u", ["i"], [1.0]), ("v", ["i"], [1.0])])
    assert StoredRecommendations(engine).read("r", "u") is None
    assert StoredRecommendations(engine).read("r", "v") == (["i"], [1.0])


async def test_lists_of_users_who_were_erased_while_they_were_written_are_dropped(
    replica: Replica, engine: Engine
) -> None:
    lists, users = StoredRecommendations(engine), [f"u{n}" for n in range(4_500)]
    for user in ("u1", "u4400"):
        await replica.eraser.erase(user)
    for release in ("r", "s"):
        lists.write(release, ((user, ["i"], [1.0]) for user in users))
    assert lists.drop_erased("r") == 2
    table = metadata.tables["stored_recommendations"].c
    with engine.connect() as db:
        left = db.execute(select(table.user_id).where(table.release_id == "r")).scalars().all()
    assert set(left) == set(users) - {"u1", "u4400"}
    assert lists.drop_erased("r") == 0


async def test_a_friend_who_was_erased_has_no_events(replica: Replica, engine: Engine) -> None:
    UserTable(engine).upsert([User("me", "", ("u", "v"))])
    await replica.recorder.record([event("a", "u"), event("b", "v")])
    found = await replica.reader.read("me", "")
    assert sorted(found.friends_items.item_ids) == ["item-a", "item-b"]
    await replica.eraser.erase("u")
    assert (await replica.reader.read("me", "")).friends_items.item_ids == ["item-b"]


async def test_events_that_come_during_an_erasure_are_either_gone_or_a_new_users(
    replica: Replica, engine: Engine
) -> None:
    log, versions = EventLog(engine), list[int]()

    def write() -> None:
        for number in range(40):
            versions.append(log.append([event(f"e{number}")]).versions["u"])

    writing = threading.Thread(target=write)
    writing.start()
    gone = [(await replica.eraser.erase("u"))["events"] for _ in range(8)]
    writing.join()
    assert versions == sorted(set(versions))
    assert sum(gone) + log.count() == 40
    left = [int(e.event_id[1:]) for e in log.recent("u", 100)]
    assert left == list(range(40 - len(left), 40))
