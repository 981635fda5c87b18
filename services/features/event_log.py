"""The durable event log: the one truth about what users did. Sessions are computed from it.

Every method is one transaction (an import: one a chunk), and blocks.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import pandas as pd
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from services.common.database import metadata
from services.features.events import Event
from services.features.imports import FRAME_COLUMNS, event_ids, frame_of, normalized

_BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by INTEGER keys only

TABLE = "events"

_events = Table(
    TABLE,
    metadata,
    Column("seq", _BigId, primary_key=True, autoincrement=True),
    Column("event_id", String(128), nullable=False, unique=True),
    Column("user_id", String(128), nullable=False),
    Column("item_id", String(128), nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("value", Double, nullable=False),
    Column("timestamp", Double, nullable=False),
    Column("region", String(64), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("recorded_at", Double, nullable=False),
    sqlite_autoincrement=True,  # else SQLite gives the numbers of erased events again
)
Index("events_of_user", _events.c.user_id, _events.c.timestamp, _events.c.seq)

_versions = Table(
    "user_versions",
    metadata,
    Column("user_id", String(128), primary_key=True),
    Column("version", BigInteger, nullable=False),
)

_EVENT_COLUMNS = [_events.c[name] for name in Event.__dataclass_fields__]

# Built once: building them costs more than running them.
_VERSION = select(_versions.c.version).where(_versions.c.user_id == bindparam("user"))
_HISTORY = (
    select(*_EVENT_COLUMNS, _versions.c.version)
    .join(_versions, _versions.c.user_id == _events.c.user_id)
    .where(_events.c.user_id == bindparam("user"))
    .where(_events.c.timestamp <= bindparam("bound"))
    .order_by(_events.c.timestamp.desc(), _events.c.seq.desc())
    .limit(bindparam("most"))
)

# Written out for the driver: SQLAlchemy's own way to insert many rows takes twice as long.
_IMPORTED = ["event_id", *FRAME_COLUMNS, "request_id", "recorded_at"]
_IMPORT = (
    f"INSERT INTO events ({', '.join(_IMPORTED)}) VALUES ({{marks}}) "
    "ON CONFLICT (event_id) DO NOTHING"
)

_IMPORT_CHUNK = 50_000  # rows a transaction
# Ids of imported rows are hashes, so each row changes a page of its own in their index. With the
# 2 MB of pages that SQLite usually keeps, an import mostly reads the same pages again.
_IMPORT_CACHE_KB = 256 << 10
_IN_CHUNK = 5_000  # values an IN list; SQLite takes 32,766 parameters a statement


@dataclass(frozen=True)
class AppendResult:
    """What `append` did.

    Attributes:
        stored: ids of the events stored now.
        duplicates: events whose id was stored before, or came twice in the batch.
        versions: new version of every user whose events changed.
    """

    stored: frozenset[str]
    duplicates: int
    versions: dict[str, int]

    @property
    def accepted(self) -> int:
        return len(self.stored)


@dataclass(frozen=True)
class ImportResult:
    """Rows stored now, and rows that an earlier import had stored."""

    accepted: int
    duplicates: int


@dataclass(frozen=True)
class History:
    """A user's latest events, oldest first, and the version of the log they were read at."""

    events: list[Event]
    version: int


class EventLog:
    """Append-only, idempotent by event id, with a version a user that grows with every change.

    Writers lock the version rows of their users first, in the order of the ids: two batches for
    one user follow one another, and no two batches wait for each other.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        mark = "%s" if engine.dialect.name == "postgresql" else "?"
        self._insert_row = _IMPORT.format(marks=", ".join([mark] * len(_IMPORTED)))

    def append(self, events: Sequence[Event]) -> AppendResult:
        """Stores the events that are new, and makes them durable before it returns."""
        first: dict[str, Event] = {}
        for event in events:
            first.setdefault(event.event_id, event)
        if not first:
            return AppendResult(frozenset(), 0, {})
        recorded_at = time.time()
        rows = [_row(event, recorded_at) for event in first.values()]
        insert = self._insert(_events).on_conflict_do_nothing(index_elements=["event_id"])
        with self._engine.begin() as db:
            self._lock(db, {event.user_id for event in first.values()})
            stored = db.execute(insert.returning(_events.c.event_id, _events.c.user_id), rows).all()
            versions = self._grow(db, {row.user_id for row in stored})
        ids = frozenset(row.event_id for row in stored)
        return AppendResult(ids, len(events) - len(ids), versions)

    def version(self, user_id: str) -> int:
        """The user's version; 0 for a user without events."""
        with self._engine.connect() as db:
            found = db.execute(_VERSION, {"user": user_id}).scalar()
        return found or 0

    def history(self, user_id: str, limit: int, as_of: float | None = None) -> History:
        """The latest events by (timestamp, order of arrival), with the version they belong to.

        Args:
            user_id: whose events.
            limit: how many at most.
            as_of: leave out events later than this, in Unix seconds.
        """
        parameters = {
            "user": user_id,
            "most": limit,
            "bound": math.inf if as_of is None else as_of,
        }
        with self._engine.connect() as db:  # one statement, so events and version agree
            rows = db.execute(_HISTORY, parameters).all()
        version = rows[0].version if rows else 0
        return History([Event(*row[:-1]) for row in reversed(rows)], version)

    def recent(self, user_id: str, limit: int, as_of: float | None = None) -> list[Event]:
        """The latest events by (timestamp, order of arrival), oldest first."""
        return self.history(user_id, limit, as_of).events

    def seen(self, user_id: str) -> list[str]:
        """Every item the user ever had an event on, without order."""
        query = select(_events.c.item_id).where(_events.c.user_id == user_id).distinct()
        with self._engine.connect() as db:
            return list(db.execute(query).scalars())

    def count(self) -> int:
        """Events in the log."""
        with self._engine.connect() as db:
            return db.execute(select(func.count()).select_from(_events)).scalar_one()

    def import_frame(self, frame: pd.DataFrame) -> ImportResult:
        """Stores a whole log at once; a second import of the same rows changes nothing.

        Rows get ids from their content and, for equal rows, their occurrence in the frame; so one
        log must come as one frame. Rows are kept in frame order, which breaks ties of time.

        Args:
            frame: columns `user_id`, `item_id` (str), `kind` (numbers of `EventKind`), `value`,
                `timestamp` (Unix seconds), `region` (str, may be empty).

        Raises:
            ValueError: a column is missing.
        """
        missing = [name for name in FRAME_COLUMNS if name not in frame.columns]
        if missing:
            raise ValueError(f"the frame lacks {', '.join(missing)}")
        ids = event_ids(frame)
        accepted = 0
        with self._engine.connect() as db, _large_page_cache(db):
            for start in range(0, len(frame), _IMPORT_CHUNK):
                rows = slice(start, start + _IMPORT_CHUNK)
                with db.begin():
                    accepted += self._import_chunk(db, normalized(frame.iloc[rows]), ids(rows))
        return ImportResult(accepted, len(frame) - accepted)

    def read_frame(self) -> pd.DataFrame:
        """The whole log by (timestamp, order of arrival), with the columns `import_frame` takes.

        Dtypes: ids and region categorical (str), kind int8, value and timestamp float64. The
        categories are in order of arrival.
        """
        query = select(*(_events.c[name] for name in FRAME_COLUMNS)).order_by(_events.c.seq)
        with self._engine.connect() as db:
            result = db.execution_options(yield_per=_IMPORT_CHUNK).execute(query)
            return frame_of(result.partitions())

    def _import_chunk(self, db: Connection, chunk: pd.DataFrame, ids: list[str]) -> int:
        users = set(chunk["user_id"])
        columns = [chunk[name].tolist() for name in FRAME_COLUMNS]
        always = repeat(""), repeat(time.time())  # request_id, recorded_at
        rows = list(zip(ids, *columns, *always, strict=False))
        self._lock(db, users)
        accepted = db.exec_driver_sql(self._insert_row, rows).rowcount
        if accepted:
            self._grow(db, users)
        return accepted

    def _lock(self, db: Connection, users: set[str]) -> None:
        insert = self._insert(_versions)
        touch = insert.on_conflict_do_update(
            index_elements=["user_id"], set_={"version": _versions.c.version}
        )
        db.execute(touch, [{"user_id": user, "version": 0} for user in sorted(users)])

    def _grow(self, db: Connection, users: set[str]) -> dict[str, int]:
        ordered = sorted(users)
        versions: dict[str, int] = {}
        for start in range(0, len(ordered), _IN_CHUNK):
            grow = (
                update(_versions)
                .where(_versions.c.user_id.in_(ordered[start : start + _IN_CHUNK]))
                .values(version=_versions.c.version + 1)
                .returning(_versions.c.user_id, _versions.c.version)
            )
            versions.update((row.user_id, row.version) for row in db.execute(grow))
        return versions


def _row(event: Event, recorded_at: float) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(event, name) for name in Event.__dataclass_fields__}
    row["recorded_at"] = recorded_at
    return row


@contextmanager
def _large_page_cache(db: Connection) -> Iterator[None]:
    if db.dialect.name != "sqlite":
        yield
        return
    usual = db.exec_driver_sql("PRAGMA cache_size").scalar_one()
    db.exec_driver_sql(f"PRAGMA cache_size = -{_IMPORT_CACHE_KB}")
    db.commit()
    try:
        yield
    finally:
        db.exec_driver_sql(f"PRAGMA cache_size = {usual}")
        db.exec_driver_sql("PRAGMA shrink_memory")
        db.commit()
