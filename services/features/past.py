"""The event log as it was: what had been recorded by a moment, or by a version of a user's events.

It asks the database alone, and no service. Events that were removed since, because they expired or
their user was erased, are not there any more, and what depended on them cannot be told.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, bindparam, func, select

from models.events import NEGATIVE
from models.friends import EVENTS_A_FRIEND, MOST_FRIENDS, FriendsEvents
from services.common.database import metadata
from services.common.erased import tombstones
from services.features import event_log, user_table
from services.features.events import MAX_SECONDS_AHEAD, Event
from services.features.user_table import Standing, read_standing

COMMIT_SECONDS = 0.5
"""For which an event that has its time of recording may not be visible yet."""

_CHUNK = 10_000
_USERS_KEPT = 2_000

_events = metadata.tables[event_log.TABLE]
_users = metadata.tables[user_table.TABLE]
_COLUMNS = [_events.c[name] for name in Event.__dataclass_fields__]
_POSITIVE = _events.c.kind.not_in([kind.value for kind in NEGATIVE])
_OF_USER = (
    select(*_COLUMNS, _events.c.recorded_at)
    .where(_events.c.user_id == bindparam("user"))
    .order_by(_events.c.seq)
)
_LATEST = (
    select(_events.c.item_id, _events.c.timestamp)
    .where(_events.c.user_id == bindparam("user"))
    .where(_events.c.timestamp <= bindparam("as_of"))
    .where(_events.c.recorded_at <= bindparam("recorded"))
    .where(_POSITIVE)
    .order_by(_events.c.timestamp.desc(), _events.c.seq.desc())
    .limit(EVENTS_A_FRIEND)
)


@dataclass(frozen=True)
class Span:
    """When a request was answered: from `begin` to `end`, in Unix seconds."""

    begin: float
    end: float


@dataclass(frozen=True)
class PastUser:
    """All that is recorded of a user.

    Attributes:
        events: in order of arrival.
        recorded_at: (e,) float64 Unix seconds, parallel to `events`.
        standing: of now.
        first_version: of the user's events before the first of all; above 0 after an erasure.
        updated_at: when the user was last upserted, in Unix seconds; -inf for never.
    """

    events: Sequence[Event]
    recorded_at: NDArray[np.float64]
    standing: Standing
    first_version: int
    updated_at: float

    def at_version(self, version: int, span: Span) -> list[Event] | None:
        """The events that a version of the log held, by (timestamp, order of arrival).

        Each version added what was recorded at one moment, as long as no event was removed and no
        import was repeated. Where that does not add up, the moment of the request decides.

        Args:
            version: 0 for a user without events.
            span: of the request that saw the version.

        Returns:
            None when it cannot be told.
        """
        if version == 0:
            return []
        begins = np.ones(len(self.events), np.bool_)
        begins[1:] = self.recorded_at[1:] != self.recorded_at[:-1]
        change = np.cumsum(begins)
        wanted = version - self.first_version
        if self.standing.version == self.first_version + int(change.max(initial=0)):
            return self._in_order(change <= wanted) if wanted >= 0 else None
        known = self.recorded_at <= span.begin - COMMIT_SECONDS
        if (known != (self.recorded_at <= span.end)).any():
            return None
        return self._in_order(known)

    def until(self, moment: float) -> list[Event]:
        """The events that were recorded by a moment, in Unix seconds."""
        return self._in_order(self.recorded_at <= moment)

    def _in_order(self, known: NDArray[np.bool_]) -> list[Event]:
        return sorted(
            (self.events[place] for place in np.flatnonzero(known).tolist()),
            key=lambda event: event.timestamp,  # stable: ties stay in order of arrival
        )


@dataclass(frozen=True)
class Block:
    """Events that are not negative, as parallel sequences.

    Attributes:
        items, regions: texts.
        times: (e,) float64 when they happened, in Unix seconds.
        keys: (e,) float64 what they are ordered by.
    """

    items: list[str]
    regions: list[str]
    times: NDArray[np.float64]
    keys: NDArray[np.float64]


class PastLog:
    """Reads the log as it was. Every method is one transaction, and blocks.

    Args:
        engine: database of the log.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.user = lru_cache(maxsize=_USERS_KEPT)(self._user)

    def _user(self, user_id: str) -> PastUser:
        updated = select(_users.c.updated_at).where(_users.c.user_id == user_id)
        with self._engine.connect() as db:
            rows = db.execute(_OF_USER, {"user": user_id}).all()
            standing, buried = read_standing(db, user_id), tombstones(db, [user_id])
            updated_at = db.execute(updated).scalar()
        return PastUser(
            [Event(*row[:-1]) for row in rows],
            np.array([row[-1] for row in rows], np.float64),
            standing,
            buried[user_id].version if user_id in buried else 0,
            -math.inf if updated_at is None else updated_at,
        )

    def friends_events(
        self, friends: Sequence[str], as_of: float, recorded: float
    ) -> FriendsEvents[str]:
        """What friends lately did, as `services.features.friends` has it.

        Args:
            friends: user ids, of which the first `MOST_FRIENDS` count.
            as_of: leave out events later than this, in Unix seconds.
            recorded: leave out events that were recorded later, in Unix seconds.
        """
        numbers, items, times = list[int](), list[str](), list[float]()
        with self._engine.connect() as db:
            for number, friend in enumerate(_asked(friends)):
                bounds = {"user": friend, "as_of": as_of, "recorded": recorded}
                for item_id, timestamp in db.execute(_LATEST, bounds):
                    numbers.append(number)
                    items.append(item_id)
                    times.append(timestamp)
        return FriendsEvents(np.array(numbers, np.int64), items, np.array(times, np.float64))

    def changes(self, span: Span, of: Sequence[str] | None = None) -> list[float]:
        """Moments of a span at which events were recorded, ascending.

        Args:
            span: after its begin, and up to its end.
            of: whose events, of which the first `MOST_FRIENDS` count; None for everybody's, which
                reads the whole log.
        """
        moment = _events.c.recorded_at
        wanted = select(moment).distinct().where(moment > span.begin, moment <= span.end)
        if of is not None:
            wanted = wanted.where(_events.c.user_id.in_(_asked(of)))
        with self._engine.connect() as db:
            return list(db.execute(wanted.order_by(moment)).scalars())

    def removed(self) -> int:
        """How many events may have been removed from the log at most: numbers that it lacks."""
        query = select(func.max(_events.c.seq), func.count())
        with self._engine.connect() as db:
            newest, held = db.execute(query).one()
        return int(newest or 0) - int(held)

    def blocks(self, *, by_arrival: bool, until: float) -> Iterator[Block]:
        """All events that are not negative, in the order they arrived in, or happened in.

        Args:
            by_arrival: keys are times of recording, which never fall; else times of events.
            until: the last key wanted.
        """
        key = _events.c.recorded_at if by_arrival else _events.c.timestamp
        order = [_events.c.seq] if by_arrival else [_events.c.timestamp, _events.c.seq]
        columns = _events.c.item_id, _events.c.region, _events.c.timestamp, key.label("key")
        # As the service counts: not what a file dates further ahead than a clock may be.
        plausible = _events.c.timestamp <= _events.c.recorded_at + MAX_SECONDS_AHEAD
        query = select(*columns).where(_POSITIVE, plausible, key <= until).order_by(*order)
        latest = -math.inf
        with self._engine.connect() as db:
            for rows in db.execution_options(yield_per=_CHUNK).execute(query).partitions():
                items, regions, times, keys = zip(*rows, strict=True)
                rising = np.maximum(np.maximum.accumulate(np.array(keys, np.float64)), latest)
                latest = float(rising[-1])
                yield Block(list(items), list(regions), np.array(times, np.float64), rising)

    def sample(self, count: int, until: float, seed: int) -> list[Event]:
        """Up to `count` random events that are not negative and happened by `until`, each once."""
        ends = select(func.min(_events.c.seq), func.max(_events.c.seq)).where(
            _events.c.timestamp <= until
        )
        following = (
            select(*_COLUMNS)
            .where(_events.c.seq >= bindparam("seq"), _POSITIVE, _events.c.timestamp <= until)
            .order_by(_events.c.seq)
            .limit(1)
        )
        with self._engine.connect() as db:
            first, last = db.execute(ends).one()
            if first is None:
                return []
            drawn = np.random.default_rng(seed).integers(first, last + 1, count).tolist()
            rows = [db.execute(following, {"seq": seq}).first() for seq in drawn]
        found = [Event(*row) for row in rows if row is not None]
        return list({event.event_id: event for event in found}.values())


def _asked(friends: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(friends))[:MOST_FRIENDS]
