"""The trend that the service counts is that of the log, whoever wrote it, in whatever order."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import Engine, text

from models.events import NEGATIVE
from models.trending import HALF_LIVES_DAYS, Trend, TrendCounters
from services.common.database import open_database
from services.common.errors import InvalidArgument
from services.features.event_log import EventLog
from services.features.events import Event
from services.features.log_tail import LogTail
from services.features.trend_counting import TrendCounting
from services.features.trend_snapshots import TrendSnapshot, TrendSnapshots
from services.features.trends import LiveTrend

NOW = 1.7e9
REGIONS = ("", "de", "fr")
Lists = dict[tuple[float, str], dict[str, float]]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    opened = open_database(request.getfixturevalue(f"{request.param}_url"))
    yield opened
    opened.dispose()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Engine]:
    opened = open_database(postgres_url)
    yield opened
    opened.dispose()


def event(event_id: str, item: str = "i", kind: int = 4, at: float = NOW, where: str = "") -> Event:
    return Event(event_id, "u", item, kind, 0.0, at, where)


def random_events(seed: int, count: int) -> list[Event]:
    chance = random.Random(seed)
    return [
        event(
            f"{seed}-{n}",
            f"i{int(chance.paretovariate(0.7)) % 60}",
            chance.randint(1, 11),
            NOW - chance.expovariate(1 / 4e6),
            chance.choice(REGIONS),
        )
        for n in range(count)
    ]


def lists_of(top: TrendCounters[str] | TrendCounting) -> Lists:
    found: Lists = {}
    for half_life in HALF_LIVES_DAYS:
        for region in REGIONS:
            trend = top.top(half_life, 100, region)
            found[half_life, region] = dict(zip(trend.items, trend.shares.tolist(), strict=True))
    return found


def recounted(engine: Engine) -> Lists:
    """Every event of the log, counted anew, at once."""
    frame = EventLog(engine).read_frame()
    frame = frame[~frame["kind"].isin([int(kind) for kind in NEGATIVE])]
    counters: TrendCounters[str] = TrendCounters()
    counters.add(frame["item_id"].tolist(), frame["region"].tolist(), frame["timestamp"].to_numpy())
    return lists_of(counters)


def assert_same(found: Lists, expected: Lists) -> None:
    for key, shares in expected.items():
        assert found[key] == pytest.approx(shares, rel=1e-4, abs=1e-6), key


def follow(counting: TrendCounting) -> None:
    more = True
    while more:
        events, more = counting.read()
        counting.count(events)


def started(engine: Engine) -> TrendCounting:
    counting = TrendCounting(engine, most_items=1_000)
    counting.load()
    follow(counting)
    return counting


def begin_event(db_event: str) -> str:
    return (
        "INSERT INTO events "
        "(event_id, user_id, item_id, kind, value, timestamp, region, request_id, recorded_at) "
        f"VALUES ('{db_event}', 'u', 'of {db_event}', 4, 0, {NOW}, '', '', {NOW})"
    )


def read_all(tail: LogTail) -> list[str]:
    items, more = [], True
    while more:
        events, more = tail.read(50)
        items += [event.item_id for event in events]
    return items


def test_a_tail_tells_every_event_once_while_two_logs_write(engine: Engine) -> None:
    def write(writer: int) -> None:
        log = EventLog(engine)
        for n in range(25):
            names = [f"{writer}-{n}", f"{writer}-{n}-b", f"{writer}-{max(n - 1, 0)}"]
            log.append([event(name, f"of {name}") for name in names])

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    tail, told = LogTail(engine), list[str]()
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        told += read_all(tail)
    told += read_all(tail)
    expected = [f"of {w}-{n}{b}" for w in range(4) for n in range(25) for b in ("", "-b")]
    assert sorted(told) == sorted(expected)
    assert tail.holes == []


@pytest.mark.postgres
def test_an_event_that_is_committed_after_later_ones_is_told_then_and_once(
    postgres: Engine,
) -> None:
    tail, log = LogTail(postgres), EventLog(postgres)
    with postgres.connect() as slow:
        slow.execute(text(begin_event("slow")))
        log.append([event("quick", "of quick")])
        assert read_all(tail) == ["of quick"]
        assert [(hole.first, hole.last) for hole in tail.holes] == [(1, 1)]
        log.append([event("quicker", "of quicker")])
        assert read_all(tail) == ["of quicker"]
        slow.commit()
    assert read_all(tail) == ["of slow"]
    assert (read_all(tail), tail.holes) == ([], [])


@pytest.mark.postgres
def test_numbers_that_nobody_uses_are_not_awaited(postgres: Engine) -> None:
    tail, log = LogTail(postgres), EventLog(postgres)
    with postgres.connect() as given_up:
        given_up.execute(text(begin_event("given up")))
        log.append([event("e1", "of e1")])
        log.append([event("e1", "a duplicate"), event("e2", "of e2")])
        assert read_all(tail) == ["of e1", "of e2"]
        assert len(tail.holes) == 2  # the duplicate's number is no one's, but that shows later
        given_up.rollback()
    assert (read_all(tail), tail.holes) == ([], [])


def test_two_logs_are_counted_as_a_fresh_count_of_all_would(engine: Engine) -> None:
    countings = [started(engine) for _ in range(2)]
    logs = [EventLog(engine) for _ in range(2)]
    events = random_events(5, 1_500)
    for at in range(0, len(events), 100):
        logs[at // 100 % 2].append(events[at : at + 100])
        follow(countings[at // 100 % 2])
    for counting in countings:
        follow(counting)
        assert_same(lists_of(counting), recounted(engine))


def test_a_restart_counts_on_from_the_snapshot_without_losing_or_repeating(
    engine: Engine,
) -> None:
    log, events = EventLog(engine), random_events(6, 1_800)
    log.append(events[:800])
    counting = started(engine)
    counting.keep(counting.copy())
    log.append(events[800:1_300])
    follow(counting)  # and is killed before it keeps that
    log.append(events[1_300:])
    again = TrendCounting(engine, most_items=1_000)
    again.load()
    told = 0
    while block := again.read()[0]:
        told += len(block)
        again.count(block)
    assert told == 1_000  # the snapshot's 800 are not read again
    assert_same(lists_of(again), recounted(engine))


@pytest.mark.postgres
def test_what_was_not_committed_when_the_snapshot_was_made_is_counted_after_it(
    postgres: Engine,
) -> None:
    log = EventLog(postgres)
    with postgres.connect() as slow:
        slow.execute(text(begin_event("slow")))
        log.append(random_events(7, 20))
        counting = started(postgres)
        counting.keep(counting.copy())
        again = started(postgres)
        slow.commit()
    follow(again)
    later = started(postgres)
    for found in (again, later):
        assert_same(lists_of(found), recounted(postgres))


def test_an_old_snapshot_does_not_replace_a_newer_one(engine: Engine) -> None:
    snapshots = TrendSnapshots(engine)
    assert snapshots.read() is None
    for seq in (5, 9, 7):
        snapshots.write(TrendSnapshot(seq, [(1, 2)], b"%d" % seq))
    assert snapshots.read() == TrendSnapshot(9, [(1, 2)], b"9")


def test_a_damaged_snapshot_is_dropped_and_all_is_counted_again(engine: Engine) -> None:
    EventLog(engine).append(random_events(8, 300))
    TrendSnapshots(engine).write(TrendSnapshot(200, [], b"damaged"))
    assert_same(lists_of(started(engine)), recounted(engine))
    assert TrendSnapshots(engine).read() is None


def test_what_is_erased_leaves_no_gap_that_hides_later_events(engine: Engine) -> None:
    log = EventLog(engine)
    log.append([event(f"e{n}", f"i{n}") for n in range(10)])
    counting = started(engine)
    with engine.begin() as db:
        db.execute(text("DELETE FROM events WHERE item_id > 'i4'"))
    log.append([event("late", "late", at=NOW - 400.0), event("new", "new")])
    follow(counting)
    everywhere = counting.top(365.0, 50, "")
    assert set(everywhere.items) == {*(f"i{n}" for n in range(10)), "late", "new"}
    assert everywhere.shares.tolist() == pytest.approx([1 / 17] * 12, rel=1e-4)


def test_no_more_items_are_counted_than_allowed(engine: Engine) -> None:
    counting = TrendCounting(engine, most_items=20)
    log = EventLog(engine)
    for n in range(10):
        crowd = [event(f"{n}-{m}", f"{n}-{m}") for m in range(30)]
        popular = [event(f"{item}{n}{m}", item) for m, item in enumerate("aaabb")]
        log.append([*crowd, *popular])
        follow(counting)
    found = counting.top(14.0, 100, "")
    assert found.items[:2] == ["a", "b"]
    assert len(found.items) <= 20 + 32


def test_an_event_dated_far_ahead_does_not_hide_the_trend(engine: Engine) -> None:
    now = time.time()
    log, counting = EventLog(engine), started(engine)
    log.append([event("far", "far", at=now + 1e7), event("now", "now", at=now)])
    log.append([event("ahead", "ahead", at=now + 59 * 60)])
    follow(counting)
    assert set(counting.top(2.0, 9, "").items) == {"now", "ahead"}
    assert counting.knows(now - 120) and not counting.knows(now - 3 * 3_600)


def test_one_replica_at_a_time_keeps_the_counters(engine: Engine) -> None:
    EventLog(engine).append([event("e1")])
    first, second = started(engine), started(engine)
    first.keep(first.copy())
    EventLog(engine).append([event("e2")])
    for counting in (first, second):
        follow(counting)
    second.keep(second.copy())
    kept = TrendSnapshots(engine).read()
    assert kept is not None and kept.seq == 1
    first.keep(first.copy())
    kept = TrendSnapshots(engine).read()
    assert kept is not None and kept.seq == 2


def test_numbers_that_an_old_sqlite_table_gives_again_are_read_again(sqlite_url: str) -> None:
    engine = open_database(sqlite_url)
    with engine.begin() as db:
        made = db.execute(text("SELECT sql FROM sqlite_master WHERE name = 'events'")).scalar_one()
        db.execute(text("DROP TABLE events"))
        db.execute(text(made.replace("AUTOINCREMENT", "")))
    tail, log = LogTail(engine), EventLog(engine)
    log.append([event(f"e{n}", f"i{n}") for n in range(5)])
    assert len(read_all(tail)) == 5
    with engine.begin() as db:
        db.execute(text("DELETE FROM events WHERE item_id >= 'i3'"))
    assert read_all(tail) == []
    log.append([event("new", "new")])
    assert read_all(tail) == ["new"]
    engine.dispose()


def encoded(trend: Trend[str]) -> tuple[str, ...]:
    return tuple(trend.items)


async def until_everywhere(trend: LiveTrend[tuple[str, ...]], expected: tuple[str, ...]) -> None:
    found = await trend.top(2.0, "de", None)
    while found.everywhere != expected:
        await asyncio.sleep(0.005)
        found = await trend.top(2.0, "de", None)
    assert found.here == expected


async def test_the_next_reader_finds_an_event_and_another_replica_soon(engine: Engine) -> None:
    own, other = LiveTrend(engine, encoded), LiveTrend(engine, encoded)
    await asyncio.gather(own.start(), other.start())
    for n in range(3):
        await asyncio.to_thread(EventLog(engine).append, [event(f"e{n}", f"i{n}", where="de")])
        own.wake()
        expected = tuple(f"i{m}" for m in range(n + 1))
        async with asyncio.timeout(5):
            await until_everywhere(own, expected)
    async with asyncio.timeout(5):
        await until_everywhere(other, expected)
    assert (await other.top(2.0, "fr", None)).here == ()
    await asyncio.gather(own.close(), other.close())


async def test_a_trend_that_was_closed_goes_on_where_it_ended(engine: Engine) -> None:
    first = LiveTrend(engine, encoded)
    await first.start()
    await asyncio.to_thread(EventLog(engine).append, [event("e", "i")])
    await first.close()  # takes a last look
    kept = TrendSnapshots(engine).read()
    assert kept is not None and kept.seq == 1
    second = LiveTrend(engine, encoded)
    await second.start()
    assert (await second.top(2.0, "", None)).everywhere == ("i",)
    await second.close()


async def test_what_is_not_known_or_not_asked_for_is_an_empty_trend(engine: Engine) -> None:
    trend = LiveTrend(engine, encoded)
    assert (await trend.top(2.0, "", None)).everywhere == ()  # not started
    await asyncio.to_thread(EventLog(engine).append, [event("e", "i", where="de")])
    await trend.start()
    assert (await trend.top(2.0, "de", NOW)).here == ("i",)
    assert (await trend.top(2.0, "de", NOW - 86_400)).here == ()
    assert (await trend.top(0.0, "de", NOW)).everywhere == ()
    assert (await trend.top(2.0, "", NOW)).here == ()
    for wrong in (3.0, -1.0, np.nan):
        with pytest.raises(InvalidArgument, match=r"^trend_half_life_days: must be 0 or one of"):
            await trend.top(wrong, "", None)
    await trend.close()
