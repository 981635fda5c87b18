"""What the event log promises, on SQLite and PostgreSQL alike."""

import threading
import time
from collections.abc import Callable, Iterator

import pandas as pd
import pytest

from services.common.database import open_database
from services.features.event_log import AppendResult, EventLog, History, ImportResult
from services.features.events import Event, validate_event

LIKE, RATING = 4, 1


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def event_log(database_url: str) -> Iterator[EventLog]:
    engine = open_database(database_url)
    yield EventLog(engine)
    engine.dispose()


def event(event_id: str, user: str = "u", item: str = "i", at: float = 100.0) -> Event:
    return Event(event_id, user, item, LIKE, 0.0, at)


def frame(rows: int) -> pd.DataFrame:
    """A log in which every third row equals the one before it."""
    numbers = [n - (n % 3 == 2) for n in range(rows)]
    return pd.DataFrame(
        {
            "user_id": [f"u{n % 7}" for n in numbers],
            "item_id": [f"i{n}" for n in numbers],
            "kind": RATING,
            "value": [n % 5 + 0.5 for n in numbers],
            "timestamp": [1e9 - n // 10 for n in numbers],
            "region": "",
        }
    )


def run_threads(count: int, target: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=target, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_an_appended_event_is_read_back_as_it_was(event_log: EventLog) -> None:
    stored = Event("e1", "u", "i", RATING, 3.5, 1234.5678901, "de", "r1")
    assert event_log.append([stored]) == AppendResult(frozenset({"e1"}), 0, {"u": 1})
    assert event_log.recent("u", 10) == [stored]


def test_a_second_event_with_the_same_id_is_a_duplicate_and_changes_nothing(
    event_log: EventLog,
) -> None:
    event_log.append([event("e1", item="first")])
    again = event_log.append([event("e1", item="second"), event("e1", user="other")])
    assert again == AppendResult(frozenset(), 2, {})
    assert [e.item_id for e in event_log.recent("u", 10)] == ["first"]
    assert (event_log.version("u"), event_log.version("other")) == (1, 0)


def test_a_duplicate_inside_one_batch_is_counted_and_the_first_one_is_kept(
    event_log: EventLog,
) -> None:
    result = event_log.append([event("e1", item="first"), event("e1", item="second")])
    assert (result.accepted, result.duplicates) == (1, 1)
    assert event_log.seen("u") == {"first": 1 << 4}


def test_recent_events_come_oldest_first_and_late_ones_take_their_place(
    event_log: EventLog,
) -> None:
    event_log.append([event("e1", at=10.0), event("e3", at=30.0)])
    event_log.append([event("e2", at=20.0)])
    assert [e.event_id for e in event_log.recent("u", 10)] == ["e1", "e2", "e3"]
    assert [e.event_id for e in event_log.recent("u", 2)] == ["e2", "e3"]


def test_events_of_one_instant_keep_the_order_in_which_they_came(event_log: EventLog) -> None:
    ids = ["z", "a", "m", "b"]
    event_log.append([event(event_id, at=5.0) for event_id in ids])
    event_log.append([event("c", at=5.0)])
    assert [e.event_id for e in event_log.recent("u", 10)] == [*ids, "c"]


def test_an_event_from_a_clock_that_runs_ahead_is_taken_as_sent(event_log: EventLog) -> None:
    now = time.time()
    ahead, next_one = event("ahead", at=now + 3_000), event("next", at=now)
    assert validate_event(ahead, now) is None
    event_log.append([ahead])
    event_log.append([next_one])
    assert event_log.recent("u", 10) == [next_one, ahead]
    assert event_log.recent("u", 10, as_of=now) == [next_one]
    event_log.append([event("passes", at=now + 3_001)])
    assert event_log.recent("u", 1) == [event("passes", at=now + 3_001)]


def test_a_late_event_changes_the_version_and_what_was_seen(event_log: EventLog) -> None:
    event_log.append([event(f"e{n}", at=1_000.0 + n) for n in range(150)])
    assert event_log.append([event("late", item="late", at=1.0)]).versions == {"u": 2}
    assert "late" not in [e.event_id for e in event_log.recent("u", 100)]
    assert "late" in event_log.seen("u")


def test_a_history_without_events_still_has_its_version(event_log: EventLog) -> None:
    event_log.append([event("e1", at=10.0)])
    assert event_log.history("u", 10, as_of=9.0) == History([], 1)
    assert event_log.history("nobody", 10) == History([], 0)


def test_a_bound_leaves_out_later_events_and_keeps_those_of_the_moment(
    event_log: EventLog,
) -> None:
    event_log.append([event(f"e{at}", at=float(at)) for at in (10, 20, 30)])
    assert [e.event_id for e in event_log.recent("u", 10, as_of=20.0)] == ["e10", "e20"]
    assert event_log.recent("u", 10, as_of=9.0) == []


def test_seen_holds_every_item_once_without_a_limit(event_log: EventLog) -> None:
    events = [event(f"e{n}", item=f"i{n % 300}", at=float(n)) for n in range(600)]
    event_log.append(events)
    assert sorted(event_log.seen("u")) == sorted(f"i{n}" for n in range(300))
    assert event_log.seen("nobody") == {}


def test_a_version_grows_by_one_with_each_batch_that_changes_its_user(event_log: EventLog) -> None:
    assert event_log.append([event("e1"), event("e2"), event("e3", user="v")]).versions == {
        "u": 1,
        "v": 1,
    }
    assert event_log.append([event("e4")]).versions == {"u": 2}
    assert (event_log.version("u"), event_log.version("v")) == (2, 1)


def test_versions_strictly_increase_under_concurrent_writers(event_log: EventLog) -> None:
    results: list[AppendResult] = []

    def write(writer: int) -> None:
        for n in range(10):
            users = ["a", "b", "c"] if (writer + n) % 2 else ["c", "b", "a"]
            batch = [event(f"{writer}-{n}-{user}", user=user) for user in users]
            results.append(event_log.append(batch))

    run_threads(6, write)
    for user in ("a", "b", "c"):
        assert sorted(result.versions[user] for result in results) == list(range(1, 61))


def test_of_concurrent_writers_of_one_event_exactly_one_stores_it(event_log: EventLog) -> None:
    results: list[AppendResult] = []
    run_threads(8, lambda _: results.append(event_log.append([event("same")])))
    assert sum(result.accepted for result in results) == 1
    assert sum(result.duplicates for result in results) == 7


def test_a_history_carries_the_version_its_events_belong_to(event_log: EventLog) -> None:
    def write(writer: int) -> None:
        for n in range(20):
            event_log.append([event(f"{writer}-{n}")])

    writing = threading.Thread(target=run_threads, args=(3, write))
    writing.start()
    while writing.is_alive():
        history = event_log.history("u", 1_000)
        assert len(history.events) == history.version
    writing.join()
    assert event_log.history("u", 1_000).version == 60


def test_importing_a_log_twice_stores_it_once_with_its_repeated_rows(event_log: EventLog) -> None:
    log = frame(3_000)
    assert event_log.import_frame(log) == ImportResult(3_000, 0)
    versions = [event_log.version(f"u{n}") for n in range(7)]
    assert event_log.import_frame(log) == ImportResult(0, 3_000)
    assert event_log.count() == 3_000
    assert [event_log.version(f"u{n}") for n in range(7)] == versions


def test_an_import_of_a_longer_log_adds_what_is_new(event_log: EventLog) -> None:
    event_log.import_frame(frame(300))
    before = event_log.version("u0")
    assert event_log.import_frame(frame(450)) == ImportResult(150, 300)
    assert event_log.version("u0") > before


def test_a_log_is_read_back_by_time_then_in_its_own_order(event_log: EventLog) -> None:
    log = frame(500)
    event_log.import_frame(log)
    expected = log.sort_values("timestamp", kind="stable", ignore_index=True)
    texts = ["user_id", "item_id", "region"]
    found = event_log.read_frame()
    assert (found[texts].dtypes == "category").all()
    pd.testing.assert_frame_equal(
        found.astype(dict.fromkeys(texts, object)), expected.astype({"kind": "int8"})
    )


def test_a_log_longer_than_a_chunk_is_stored_and_read_back_whole(event_log: EventLog) -> None:
    log = frame(50_003).astype({"user_id": "category", "item_id": "category"})
    assert event_log.import_frame(log) == ImportResult(50_003, 0)
    found = event_log.read_frame()
    expected = log.sort_values("timestamp", kind="stable", ignore_index=True)
    for column in ("user_id", "item_id", "value", "timestamp"):
        assert found[column].tolist() == expected[column].tolist()
    last = log["user_id"].iloc[-1]
    assert event_log.version(last) == 2  # one change a chunk


def test_live_events_and_imported_ones_are_one_log(event_log: EventLog) -> None:
    event_log.import_frame(frame(10))
    event_log.append([event("live", user="u0", item="new", at=2e9)])
    assert event_log.recent("u0", 1)[0].item_id == "new"
    assert event_log.read_frame()["item_id"].iloc[-1] == "new"
    assert event_log.count() == 11


def test_an_empty_log_has_no_events_and_an_empty_frame(event_log: EventLog) -> None:
    assert event_log.append([]) == AppendResult(frozenset(), 0, {})
    assert (event_log.count(), event_log.version("u"), event_log.recent("u", 5)) == (0, 0, [])
    assert event_log.read_frame().empty
    assert event_log.import_frame(event_log.read_frame()) == ImportResult(0, 0)


def test_a_frame_that_lacks_a_column_is_refused_by_name(event_log: EventLog) -> None:
    with pytest.raises(ValueError, match="lacks kind, region"):
        event_log.import_frame(frame(3).drop(columns=["kind", "region"]))


def test_a_reopened_log_holds_what_was_appended(database_url: str) -> None:
    for name in ("e1", "e2"):
        engine = open_database(database_url)
        EventLog(engine).append([event(name)])
        engine.dispose()
    engine = open_database(database_url)
    assert EventLog(engine).count() == 2
    engine.dispose()
