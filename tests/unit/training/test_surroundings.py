"""What goes on around users of a log: as a live system would have known it, and no more."""

from dataclasses import replace

import numpy as np
import pytest

from models.events import EventKind
from models.trending import HALF_LIVES_DAYS, LATE_SECONDS
from tests.unit.training.logs import sequences
from training.friends import Friends
from training.sequences import EventSequences
from training.splits import Queries
from training.surroundings import Around, choose_trend_half_life

HIDE = EventKind.HIDE
DAY = 86_400.0


def friends_of(lists: list[list[int]]) -> Friends:
    lengths = [len(each) for each in lists]
    return Friends(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array([friend for each in lists for friend in each], np.int32),
    )


def log_at(times: list[list[float]], rows: list[list[int]]) -> EventSequences:
    log = sequences(*rows)
    return replace(log, times=np.array([t for each in times for t in each]))


def asked_last(log: EventSequences, recorded: bool) -> Queries:
    """The last event of the last user."""
    return replace(Queries.at(log, np.array([len(log) - 1])), recorded=recorded)


def test_a_trend_counts_what_lies_strictly_before_the_moment() -> None:
    log = log_at([[0, 10], [10, 20], [5, 15]], [[0, 1], [1, 2], [3, 4]])
    around = Around(Friends.none(3), 2.0).of(asked_last(log, recorded=True)).around[0]
    assert sorted(around.trend.rows.tolist()) == [0, 1, 3]
    assert around.trend.rows[0] == 1  # twice


def test_where_nothing_is_recorded_only_the_known_log_counts() -> None:
    log = log_at([[0, 10], [10, 20], [5, 25]], [[0, 1], [1, 2], [3, 4]])
    known = log.select(np.array([True, True, True, False, True, False]))
    around = Around(Friends.none(3), 2.0, known)
    assert sorted(around.of(asked_last(log, recorded=False)).around[0].trend.rows) == [0, 1, 3]
    assert sorted(around.of(asked_last(log, recorded=True)).around[0].trend.rows) == [0, 1, 2, 3]


def test_a_moment_long_before_the_newest_known_event_has_no_trend() -> None:
    late = LATE_SECONDS + 1
    log = log_at([[0, late], [0, 0]], [[0, 1], [2, 3]])
    known = log.select(np.array([True, True, True, False]))
    found = Around(Friends.none(2), 2.0, known).of(asked_last(log, recorded=False)).around[0]
    assert len(found.trend) == 0
    log = replace(log, times=np.array([0, late - 2, 0, 0.0]))
    known = log.select(np.array([True, True, True, False]))
    found = Around(Friends.none(2), 2.0, known).of(asked_last(log, recorded=False)).around[0]
    assert len(found.trend) == 3


def test_negative_events_are_no_trend_and_no_friends_liking() -> None:
    log = sequences([(0, HIDE, 0.0), 1], [2, 3])
    around = Around(friends_of([[], [0]]), 2.0).of(asked_last(log, recorded=True)).around[0]
    assert 0 not in around.trend.rows and 0 not in around.friends.rows


def test_friends_count_by_how_lately_they_liked_an_item() -> None:
    log = log_at([[0, 7 * DAY], [7 * DAY], [1, 8 * DAY]], [[0, 1], [1], [2, 3]])
    around = Around(friends_of([[], [], [0, 1]]), 2.0).of(asked_last(log, recorded=True)).around[0]
    assert around.friends.rows.tolist() == [1, 0]
    np.testing.assert_allclose(around.friends.weights, [2, 0.5 * 0.7], rtol=1e-6)


def test_friends_future_is_unknown() -> None:
    log = log_at([[0, 50], [1, 10]], [[0, 1], [2, 3]])
    around = Around(friends_of([[], [0]]), 2.0).of(asked_last(log, recorded=True)).around[0]
    assert around.friends.rows.tolist() == [0]


def test_a_region_has_a_trend_of_its_own() -> None:
    log = replace(
        sequences([0, 1], [2], [3, 4]),
        regions=np.array([0, 1, 1, 2, 1], np.int32),
        region_names=("north", "south", ""),
        times=np.array([0.0, 60.0, 0.0, 0.0, 200.0]),
    )
    around = Around(Friends.none(3), 2.0).of(asked_last(log, recorded=True)).around[0]
    assert sorted(around.trend_here.rows.tolist()) == [1, 2]
    assert sorted(around.trend.rows.tolist()) == [0, 1, 2, 3]


def test_the_half_life_is_the_one_that_predicts() -> None:
    """Every day has a hit of its own, and everybody who comes that day takes it."""
    rng = np.random.default_rng(0)
    days = rng.permutation(np.repeat(np.arange(60), 6))
    rows, times = [], []
    for user, day in enumerate(days):
        rows.append([100 + user % 50, int(day)])
        times.append([day * DAY + 60.0 * (user % 400), day * DAY + 60.0 * (user % 400) + 30])
    assert choose_trend_half_life(log_at(times, rows), 160) == HALF_LIVES_DAYS[0]


@pytest.mark.parametrize("part", [slice(1, None), np.array([1])])
def test_surroundings_stay_with_their_queries(part: slice) -> None:
    log = log_at([[0, 10], [10, 20]], [[0, 1], [1, 2]])
    queries = replace(Queries.at(log, np.array([1, 3])), recorded=True)
    found = Around(Friends.none(2), 2.0).of(queries)
    assert found.take(part).around[0] is found.around[1]
    assert found.histories(3).around_of(1) is found.around[1]
