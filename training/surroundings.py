"""What went on around users at moments of a log, just as a live system would have known it.

Trends come from the very class that counts live events, swept through the log in the order of time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.events import NEGATIVE
from models.friends import EVENTS_A_FRIEND, FriendsEvents, friends_items
from models.history import Surroundings, WeightedRows
from models.trending import HALF_LIVES_DAYS, TREND_ITEMS, Trend, TrendCounters
from training.friends import Friends
from training.ranks import rank_targets
from training.sequences import EventSequences
from training.splits import Queries, last_new_events

_QUESTIONS = 1_000
_USUAL_DAYS = 14.0


class Around:
    """Finds what goes on around users.

    Args:
        friends: of the log's users.
        half_life_days: of trends, one of `HALF_LIVES_DAYS`.
        known: events that are known whatever the moment; None for none, so that only those of the
            queries' log count that lie before each moment.
    """

    def __init__(
        self, friends: Friends, half_life_days: float, known: EventSequences | None = None
    ) -> None:
        self._friends = friends
        self._half_life = half_life_days
        self._known = None if known is None else _positive(known)
        self._base: TrendCounters[int] = TrendCounters()
        if self._known is not None:
            _count(self._base, self._known, np.argsort(self._known.times, kind="stable"))

    def of(self, queries: Queries) -> Queries:
        """The same queries, each with what goes on around its user then.

        Where events are recorded as time goes on (`Queries.recorded`), those of the queries' log
        that lie between what is known anyway and the moment count, too.
        """
        around = np.empty(len(queries), dtype=object)
        around[:] = [Surroundings()] * len(queries)
        counters = self._base.copy()
        for query, region in _sweep(queries, counters):
            around[query] = Surroundings(
                trend=_rows(counters.top(self._half_life, TREND_ITEMS)),
                trend_here=_rows(counters.top(self._half_life, TREND_ITEMS, region))
                if region
                else WeightedRows(),
            )
        if len(self._friends.users):
            for query, friends in enumerate(self._of_friends(queries)):
                around[query] = replace(around[query], friends=friends)
        return replace(queries, around=around)

    def _of_friends(self, queries: Queries) -> Iterator[WeightedRows]:
        log = _positive(queries.log) if queries.recorded or self._known is None else self._known
        side: Literal["left", "right"] = "left" if queries.recorded else "right"
        for user, time in zip(queries.users.tolist(), queries.times.tolist(), strict=True):
            parts = []
            for friend in self._friends(user).tolist():
                begin, end = log.offsets[friend], log.offsets[friend + 1]
                last = begin + np.searchsorted(log.times[begin:end], time, side=side)
                parts.append(np.arange(max(begin, last - EVENTS_A_FRIEND), last)[::-1])
            numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
            at = np.concatenate([np.empty(0, np.int64), *parts])
            events = FriendsEvents(numbers, log.rows[at].tolist(), log.times[at])
            rows, weights = friends_items(events)
            yield WeightedRows(np.array(rows, dtype=np.int32), weights)


def choose_trend_half_life(log: EventSequences, n_items: int) -> float:
    """The half-life, in days, whose trend ranks users' last events best."""
    queries = replace(last_new_events(log, _QUESTIONS), recorded=True)
    if not len(queries):
        return _USUAL_DAYS
    around = {days: np.empty(len(queries), dtype=object) for days in HALF_LIVES_DAYS}
    counters: TrendCounters[int] = TrendCounters()
    for query, _region in _sweep(queries, counters):  # one for all of them
        for days, each in around.items():
            each[query] = Surroundings(trend=_rows(counters.top(days, TREND_ITEMS)))

    def gain(days: float) -> float:
        asked = replace(queries, around=around[days])
        return rank_targets(lambda block: trend_scores(block, n_items), asked, n_items).gain()

    return max(HALF_LIVES_DAYS, key=gain)


def trend_scores(queries: Queries, n_items: int) -> NDArray[np.float32]:
    """(q, n_items) shares of recent events, of queries with surroundings."""
    scores = np.zeros((len(queries), n_items), np.float32)
    for row, around in zip(scores, queries.around, strict=True):
        row[around.trend.rows] = around.trend.weights
    return scores


def _sweep(queries: Queries, counters: TrendCounters[int]) -> Iterator[tuple[int, str]]:
    """Goes through the queries in the order of time, counting what is recorded before each.

    Yields:
        Those whose moments the counters know, and the region of each; empty for none.
    """
    times, regions, done = queries.times, _regions(queries), 0
    log = _positive(queries.log)
    order = np.argsort(log.times, kind="stable")
    order = order[log.times[order] > counters.newest] if queries.recorded else order[:0]
    ends = np.searchsorted(log.times[order], times)
    for query in np.argsort(times, kind="stable").tolist():
        _count(counters, log, order[done : ends[query]])
        done = ends[query]
        if counters.knows(times[query]):
            yield query, regions[query]


def _regions(queries: Queries) -> list[str]:
    """The region of each request, else that of the user's last known event that had one."""
    log = queries.log
    named = np.array([bool(name) for name in log.region_names])[log.regions]
    last = np.maximum.accumulate(np.where(named, np.arange(len(log)), -1))
    before = np.where(queries.ends > 0, last[queries.ends - 1], -1)
    begins = log.offsets[queries.users]
    at = np.where(named[queries.ends] | (before < begins), queries.ends, before)
    return [log.region_names[code] for code in log.regions[at]]


def _count(counters: TrendCounters[int], log: EventSequences, positions: NDArray[np.int64]) -> None:
    regions: Sequence[str] = [log.region_names[code] for code in log.regions[positions]]
    counters.add(log.rows[positions].tolist(), regions, log.times[positions])


def _positive(log: EventSequences) -> EventSequences:
    return log.select(~np.isin(log.kinds, [int(kind) for kind in NEGATIVE]))


def _rows(trend: Trend[int]) -> WeightedRows:
    return WeightedRows(np.array(trend.items, dtype=np.int32), trend.shares)
