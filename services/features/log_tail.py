"""Reads the event log as it grows: every event once, whoever stored it.

PostgreSQL hands out `seq` before a transaction commits, so a smaller number may become visible
after a larger one. Numbers that were skipped are remembered as holes until no transaction is left
that may own them; what has appeared in a hole by then is all that ever will. SQLite has one writer
at a time, so its numbers become visible in order; but a table made before they were protected gives
those of erased last rows again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, func, select, text

from services.common.database import metadata
from services.features import event_log

_SPAN = 10_000  # numbers that one query may look through for rows of several holes

_events = metadata.tables[event_log.TABLE]
_COLUMNS = [_events.c[name] for name in ("seq", "item_id", "kind", "timestamp", "region")]
_AFTER = (
    select(*_COLUMNS)
    .where(_events.c.seq > bindparam("seq"))
    .order_by(_events.c.seq)
    .limit(bindparam("most"))
)
_NEWEST = select(func.coalesce(func.max(_events.c.seq), 0))
_BETWEEN = (
    select(*_COLUMNS)
    .where(_events.c.seq.between(bindparam("first"), bindparam("last")))
    .order_by(_events.c.seq)
)
# A transaction holds this lock from before its first number to after its commit.
_WRITERS = text(
    "SELECT DISTINCT virtualtransaction FROM pg_locks "
    f"WHERE locktype = 'relation' AND relation = '{event_log.TABLE}'::regclass "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND mode = 'RowExclusiveLock' AND granted"
)


@dataclass(frozen=True, slots=True)
class TailEvent:
    """What a tail tells of an event; the fields are those of `Event`."""

    seq: int
    item_id: str
    kind: int
    timestamp: float
    region: str


@dataclass(frozen=True)
class Hole:
    """Numbers, first to last, that were skipped.

    Attributes:
        writers: transactions that may own some of them; None before that was looked up.
    """

    first: int
    last: int
    writers: frozenset[str] | None = None


class LogTail:
    """A position in the event log. Blocks, and is not thread-safe.

    Args:
        engine: database of the log.
        seq: number of the last event that is not read again.
        holes: numbers up to `seq` that were not read.
    """

    def __init__(self, engine: Engine, seq: int = 0, holes: Sequence[Hole] = ()) -> None:
        self._engine = engine
        self._in_order = engine.dialect.name == "sqlite"
        self.seq = seq
        self.holes = list(holes)

    def read(self, most: int) -> tuple[list[TailEvent], bool]:
        """Events that were not read before, and whether there may be more of them now.

        Args:
            most: events wanted of those after `seq`; those of holes come on top.
        """
        with self._engine.connect() as db:  # each statement sees what is committed when it begins
            if self._in_order:
                self.seq = min(self.seq, db.execute(_NEWEST).scalar_one())
            events = _fetch(db.execute(_AFTER, {"seq": self.seq, "most": most}))
            holes: list[Hole] = []
            found: list[TailEvent] = []
            if not self._in_order:
                found, holes = _fill(db, [*self.holes, *_skipped(self.seq, events)])
        self.seq = events[-1].seq if events else self.seq
        self.holes = holes
        return events + found, len(events) == most


def _fetch(rows: Any) -> list[TailEvent]:
    return [TailEvent(*row) for row in rows]


def _skipped(seq: int, events: Sequence[TailEvent]) -> Iterator[Hole]:
    for event in events:
        if event.seq > seq + 1:
            yield Hole(seq + 1, event.seq - 1)
        seq = event.seq


def _fill(db: Connection, holes: list[Hole]) -> tuple[list[TailEvent], list[Hole]]:
    """Events that appeared in holes which nobody may fill any more, and the other holes."""
    if not holes:
        return [], []
    busy = frozenset(db.execute(_WRITERS).scalars())
    awaited = [
        replace(hole, writers=busy if hole.writers is None else hole.writers & busy)
        for hole in holes
    ]
    final = [hole for hole in awaited if not hole.writers]
    found = [event for span in _spans(final) for event in _inside(db, span)]
    return found, [hole for hole in awaited if hole.writers]


def _spans(holes: Sequence[Hole]) -> Iterator[list[Hole]]:
    """Groups of neighbours that one query reads."""
    group: list[Hole] = []
    for hole in holes:
        if group and hole.last - group[0].first >= _SPAN:
            yield group
            group = []
        group.append(hole)
    if group:
        yield group


def _inside(db: Connection, holes: list[Hole]) -> Iterator[TailEvent]:
    bounds = {"first": holes[0].first, "last": holes[-1].last}
    remaining = iter(holes)
    hole = next(remaining)
    for event in _fetch(db.execute(_BETWEEN, bounds)):
        while hole.last < event.seq:
            hole = next(remaining)
        if hole.first <= event.seq:
            yield event
