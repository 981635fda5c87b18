"""Requests that come together share transactions, and each still gets its own answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.common.database import open_database
from services.features.async_log import AsyncEventLog
from services.features.event_log import EventLog
from services.features.events import Event
from services.features.seen import SeenWanted


@pytest.fixture
async def event_log(tmp_path: Path) -> AsyncIterator[AsyncEventLog]:
    engine = open_database(f"sqlite:///{tmp_path / 'tandem.db'}")
    opened = AsyncEventLog(EventLog(engine), seen_cache_items=1_000)
    yield opened
    await opened.close()
    engine.dispose()


def event(event_id: str, user: str = "u", item: str = "i") -> Event:
    return Event(event_id, user, item, 4, 0.0, 100.0)


async def test_waiting_requests_share_one_transaction(event_log: AsyncEventLog) -> None:
    results = await asyncio.gather(*(event_log.append([event(f"e{n}")]) for n in range(200)))
    assert all(result.accepted == 1 for result in results)
    # A version counts transactions: the first request, perhaps a few early ones, then the rest.
    assert await event_log.version("u") < 20
    assert len((await event_log.history("u", 1_000)).events) == 200


async def test_an_event_that_comes_in_two_requests_is_stored_for_one(
    event_log: AsyncEventLog,
) -> None:
    results = await asyncio.gather(
        *(event_log.append([event("same"), event(f"own{n}")]) for n in range(10))
    )
    assert sum(result.accepted for result in results) == 11
    assert sum(result.duplicates for result in results) == 9


async def test_an_answer_names_the_versions_of_its_own_users_only(event_log: AsyncEventLog) -> None:
    mine, theirs = await asyncio.gather(
        event_log.append([event("e1", user="mine")]), event_log.append([event("e2", user="theirs")])
    )
    assert mine.versions == {"mine": 1}
    assert theirs.versions == {"theirs": 1}


async def test_a_caller_that_gave_up_does_not_fail_the_others(event_log: AsyncEventLog) -> None:
    impatient = asyncio.create_task(event_log.append([event("e1")]))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(event_log.append([event(f"w{n}")])) for n in range(5)]
    await asyncio.sleep(0)
    impatient.cancel()
    waiting[0].cancel()
    assert [result.accepted for result in await asyncio.gather(*waiting[1:])] == [1] * 4


async def test_seen_items_follow_every_event_of_a_shared_transaction(
    event_log: AsyncEventLog,
) -> None:
    await event_log.append([event("first", item="i-first")])
    assert set((await event_log.seen("u", version=1)).item_ids) == {"i-first"}
    await asyncio.gather(*(event_log.append([event(f"e{n}", item=f"i{n}")]) for n in range(50)))
    version = await event_log.version("u")
    seen = await event_log.seen("u", version)
    assert set(seen.item_ids) == {"i-first", *(f"i{n}" for n in range(50))}
    added = await event_log.seen("u", version, SeenWanted(since=1))
    assert added.is_increment and set(added.item_ids) == {f"i{n}" for n in range(50)}
