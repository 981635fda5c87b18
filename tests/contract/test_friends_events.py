"""What is read of friends, on SQLite and PostgreSQL alike."""

import numpy as np
import pytest
from sqlalchemy import Engine

from models.events import EventKind
from models.friends import EVENTS_A_FRIEND, MOST_FRIENDS
from services.features.event_log import EventLog
from services.features.events import Event
from tests.contract.databases import engine

__all__ = ["engine"]


@pytest.fixture
def log(engine: Engine) -> EventLog:
    return EventLog(engine)


def event(user: str, at: float, kind: EventKind = EventKind.LIKE) -> Event:
    return Event(f"{user}-{at}-{kind}", user, f"i{at:g}", kind.value, 0.0, at)


def items(log: EventLog, friends: list[str], as_of: float | None = None) -> list[str]:
    found = log.friends_events(friends, as_of)
    assert [f"i{time:g}" for time in found.times] == list(found.items)
    same_friend = np.diff(found.friends) == 0
    assert (np.diff(found.friends) >= 0).all() and (np.diff(found.times)[same_friend] <= 0).all()
    return sorted(found.items)


def test_the_latest_events_of_each_friend_are_read(log: EventLog) -> None:
    log.append([event("a", float(n)) for n in range(100, 130)])
    log.append([event("b", 7.0), event("stranger", 8.0)])
    expected = [f"i{n}" for n in range(130 - EVENTS_A_FRIEND, 130)]
    assert items(log, ["a", "b"]) == sorted([*expected, "i7"])


def test_what_friends_disliked_takes_no_place(log: EventLog) -> None:
    log.append([event("a", float(n), EventKind.HIDE) for n in range(50, 80)])
    log.append([event("a", 1.0), event("a", 60.0, EventKind.DISLIKE)])
    assert items(log, ["a"]) == ["i1"]


def test_a_bound_leaves_out_later_events_and_reaches_further_back(log: EventLog) -> None:
    log.append([event("a", float(n)) for n in range(100, 140)])
    assert items(log, ["a"], as_of=120.0) == [f"i{n}" for n in range(111, 121)]


def test_only_the_first_friends_are_looked_at_and_each_once(log: EventLog) -> None:
    friends = [f"f{n}" for n in range(MOST_FRIENDS + 5)]
    log.append([event(friend, 100.0 + n) for n, friend in enumerate(friends)])
    assert items(log, ["f0", *friends]) == sorted(f"i{100 + n}" for n in range(MOST_FRIENDS))


def test_friends_without_events_are_no_reason_to_fail(log: EventLog) -> None:
    assert items(log, []) == []
    assert items(log, ["nobody", "x'; DROP TABLE events; --"]) == []
    assert log.count() == 0
