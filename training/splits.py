"""Moments of a log at which a model is asked to predict, and what it may know then."""

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.events import NEGATIVE, EventKind
from models.features import HistoryBatch
from training.sequences import EventSequences

T = TypeVar("T", bound=np.generic)

_MOST_HELD_OUT = 5_000
_ENOUGH_HELD_OUT = 2_000
_MOST_A_USER = 4


@dataclass(frozen=True)
class Queries:
    """Events to predict, each from earlier events of its user.

    Attributes:
        log: the whole log; of what is at or after a query's end only the moment is ever read.
        positions: (q,) events to predict, ascending positions of `log`.
        ends: (q,) position after the newest event that is known; the event's own when all earlier
            events are, an earlier one of the same user when the history is frozen.
        recorded: whether a live system would have recorded the log's events up to each moment.
        around: (q,) `Surroundings` of the users; empty for nothing. See `training.surroundings`.
    """

    log: EventSequences
    positions: NDArray[np.int64]
    ends: NDArray[np.int64]
    recorded: bool = False
    around: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, dtype=object))

    @classmethod
    def at(cls, log: EventSequences, positions: NDArray[np.int64]) -> "Queries":
        """Each event is predicted from all earlier ones of its user."""
        return cls(log, positions, positions)

    @classmethod
    def after_all(cls, log: EventSequences, users: NDArray[np.int64], time: float) -> "Queries":
        """Each user is asked about once, when all of that user's events are known.

        What comes next has not happened: the queries have a log of their own, in which a
        placeholder stands for it. Only its moment means anything; `targets` do not. That log has
        all users, but events of the given ones only, so it is no larger than what is asked.

        Args:
            log: of all users.
            users: (q,) users, ascending, each once.
            time: Unix seconds of the moment of asking, later than the log.
        """
        counts = np.diff(log.offsets)[users]
        lengths = np.zeros(log.n_users, dtype=np.int64)
        lengths[users] = counts + 1
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        ends = offsets[users + 1] - 1
        known = np.ones(offsets[-1], dtype=np.bool_)
        known[ends] = False
        begins = np.cumsum(counts) - counts
        events = np.repeat(log.offsets[users] - begins, counts) + np.arange(counts.sum())

        def with_next(values: NDArray[Any], of_next: float) -> NDArray[Any]:
            column = np.full(len(known), of_next, dtype=values.dtype)
            column[known] = values[events]
            return column

        asked = EventSequences(
            offsets=offsets,
            rows=with_next(log.rows, 0),
            kinds=with_next(log.kinds, EventKind.HIDE),  # nobody's taste, so it ends no run
            values=with_next(log.values, 0),
            times=with_next(log.times, time),
            regions=with_next(log.regions, len(log.region_names)),
            region_names=(*log.region_names, ""),
        )
        return cls(asked, ends, ends)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def targets(self) -> NDArray[np.int32]:
        """(q,) item rows to be found."""
        return self.log.rows[self.positions]

    @property
    def users(self) -> NDArray[np.int64]:
        """(q,) users."""
        return np.searchsorted(self.log.offsets, self.positions, side="right") - 1

    @property
    def times(self) -> NDArray[np.float64]:
        """(q,) Unix seconds of the moment of asking: when the first unknown event happened."""
        return self.log.times[self.ends]

    @property
    def known_events(self) -> NDArray[np.int64]:
        """(q,) number of events that are known of each query's user."""
        return self.ends - self.log.offsets[self.users]

    def seen(self, query: int) -> NDArray[np.int32]:
        """Rows of all items that the query's user is known to have had an event on, of any
        kind, oldest first."""
        begin = self.log.offsets[
            np.searchsorted(self.log.offsets, self.positions[query], side="right") - 1
        ]
        return self.log.rows[begin : self.ends[query]]

    def known(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """All that `seen` gives, for all queries: (e,) number of the query, and (e,) item rows."""
        lengths = self.known_events
        query = np.repeat(np.arange(len(self)), lengths)
        begins = np.cumsum(lengths) - lengths
        return query, self.log.rows[(self.ends - lengths - begins)[query] + np.arange(len(query))]

    def questions(self) -> tuple["Queries", NDArray[np.int64]]:
        """Frozen histories ask the same of one user for many events.

        Returns:
            One query for each distinct question, and (q,) int64 the question of each query,
            ascending.
        """
        _ends, first, question = np.unique(self.ends, return_index=True, return_inverse=True)
        return self.take(first), question

    def take(self, part: slice | NDArray[np.int64]) -> "Queries":
        around = self.around[part] if len(self.around) else self.around
        return replace(self, positions=self.positions[part], ends=self.ends[part], around=around)

    def histories(self, length: int) -> HistoryBatch:
        """Taste known at each query, most recent event first."""
        log, mask = self.log, self.log.taste_mask()
        before = np.concatenate([[0], np.cumsum(mask)])[self.ends]
        regions = [log.region_names[code] for code in log.regions[self.ends]]
        session = log.session_columns(self.users, self.ends, self.times)
        taste = log.select(mask)
        known = replace(
            taste.histories(self.users, before, self.times, regions, length, session),
            around=self.around.tolist(),
        )
        # Of a run of events on one item the last counts. Where a run goes on after the end, the
        # last that is known counts in its place.
        newest = self._newest_liked()
        cut = (newest >= 0) & ~mask[newest]
        if not cut.any():
            return known
        ages = np.maximum(self.times - log.times[newest], 0)
        return replace(
            known,
            rows=_preceded(known.rows, log.rows[newest], cut),
            kinds=_preceded(known.kinds, log.kinds[newest], cut),
            ages=_preceded(known.ages, ages, cut),
        )

    def _newest_liked(self) -> NDArray[np.int64]:
        """(q,) position of each user's newest known event that is not negative; -1 without one."""
        log = self.log
        liked = ~np.isin(log.kinds, [int(kind) for kind in NEGATIVE])
        newest = np.maximum.accumulate(np.where(liked, np.arange(len(log)), -1))
        last = np.where(self.ends > 0, newest[self.ends - 1], -1)
        return np.where(last >= log.offsets[self.users], last, -1)


def _preceded(
    table: NDArray[T], first: NDArray[np.generic], where: NDArray[np.bool_]
) -> NDArray[T]:
    """(q, l) rows of a table, moved on by one behind a new first element where so wanted."""
    moved = np.concatenate([first.astype(table.dtype)[:, None], table[:, :-1]], axis=1)
    return np.where(where[:, None], moved, table)


def held_out_events(
    log: EventSequences, seed: int, among: NDArray[np.bool_] | None = None
) -> Queries:
    """Users' last new events, on which a training makes its choices.

    With few users, several events of each: choices made on some hundred are mostly chance.

    Args:
        seed: draws from more than 5,000.
        among: (e,) events that may be held out; None for all.
    """
    users = max(int(np.count_nonzero(np.diff(log.offsets))), 1)
    each = int(np.clip(-(-_ENOUGH_HELD_OUT // users), 1, _MOST_A_USER))
    return last_new_events(log, _MOST_HELD_OUT, seed, each, among)


def last_new_events(
    log: EventSequences,
    at_most: int | None = None,
    seed: int = 0,
    each: int = 1,
    among: NDArray[np.bool_] | None = None,
) -> Queries:
    """Each user's last events on items new to that user.

    Negative kinds are no targets, nor is a user's very first event. In a log of one event a pair,
    like MovieLens, this is simply the last event.

    Args:
        at_most: number of events, drawn by `seed`, when there are more.
        each: events a user, but never more than half of that user's new items.
        among: (e,) events that the others are left out of; None for all.
    """
    first = log.first_touches()
    kinds = [int(kind) for kind in NEGATIVE]
    first = first[~np.isin(log.kinds[first], kinds)]
    user = np.searchsorted(log.offsets, first, side="right") - 1
    counts = np.bincount(user, minlength=log.n_users)
    from_end = np.cumsum(counts)[user] - np.arange(len(first))  # 1 is the last
    is_last = from_end <= np.maximum(np.minimum(each, counts[user] // 2), 1)
    last = first[is_last & (first > log.offsets[user])]
    if among is not None:
        last = last[among[last]]
    if at_most is not None and len(last) > at_most:
        drawn = np.random.default_rng(seed).choice(len(last), at_most, replace=False)
        last = last[np.sort(drawn)]
    return Queries.at(log, last)


def before(queries: Queries) -> EventSequences:
    """The log without the queries' events and all that their users did later."""
    cut = np.full(queries.log.n_users, len(queries.log), dtype=np.int64)
    np.minimum.at(cut, queries.users, queries.positions)
    return queries.log.select(np.arange(len(queries.log)) < cut[queries.log.users])


def thinned(queries: Queries, most: int) -> Queries:
    """All queries of at most `most` questions, at even distances in the order of their times."""
    asked, question = queries.questions()
    if len(asked) <= most:
        return queries
    order = np.argsort(asked.times, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, most).round().astype(np.int64)]
    return queries.take(np.flatnonzero(np.isin(question, chosen)))
