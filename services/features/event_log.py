"""The durable event log: the one truth about what users did. Sessions are computed from it.

Every method is one transaction (an import: one a chunk), and blocks.
"""

import math
import time
from collections.abc import Collection, Iterator, Sequence
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
    delete,
    exists,
    func,
    select,
)

from models.friends import FriendsEvents
from services.common.database import insert_of, metadata
from services.common.erased import ErasedUsers, Tombstone, tombstones
from services.features import versions
from services.features.events import Event
from services.features.friends import friends_events
from services.features.imports import FRAME_COLUMNS, event_ids, frame_of, normalized
from services.features.user_table import Standing, read_standing
from services.features.versions import user_versions

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

_EVENT_COLUMNS = [_events.c[name] for name in Event.__dataclass_fields__]

# Built once: building them costs more than running them.
_VERSION = select(user_versions.c.version).where(user_versions.c.user_id == bindparam("user"))
_HISTORY = (
    select(*_EVENT_COLUMNS, user_versions.c.version)
    .join(user_versions, user_versions.c.user_id == _events.c.user_id)
    .where(_events.c.user_id == bindparam("user"))
    .where(_events.c.timestamp <= bindparam("bound"))
    .order_by(_events.c.timestamp.desc(), _events.c.seq.desc())
    .limit(bindparam("most"))
)
_VERSION_WITHOUT_EVENTS = _VERSION.where(
    ~exists().where(
        _events.c.user_id == bindparam("user"), _events.c.timestamp <= bindparam("bound")
    )
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
    """What became of the rows of a log.

    Attributes:
        accepted: stored now.
        duplicates: stored by an earlier import.
        erased: left out, because their users were erased after they happened.
    """

    accepted: int
    duplicates: int
    erased: int = 0


@dataclass(frozen=True)
class History:
    """A user's latest events, oldest first, and the version of the log they were read at."""

    events: list[Event]
    version: int


class EventLog:
    """Idempotent by event id, with a version a user that grows with every change.

    Nothing in it changes; users are erased from it, and old events expire.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._insert = insert_of(engine)
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
            versions.lock(db, {event.user_id for event in first.values()})
            stored = db.execute(insert.returning(_events.c.event_id, _events.c.user_id), rows).all()
            grown = versions.grow(db, {row.user_id for row in stored})
        ids = frozenset(row.event_id for row in stored)
        return AppendResult(ids, len(events) - len(ids), grown)

    def version(self, user_id: str) -> int:
        """The user's version; 0 for a user without events."""
        with self._engine.connect() as db:
            found = db.execute(_VERSION, {"user": user_id}).scalar()
        return found or 0

    def standing(self, user_id: str) -> Standing:
        """The user's version, what was upserted, and whether the user was erased."""
        with self._engine.connect() as db:
            return read_standing(db, user_id)

    def erased(self, user_ids: Collection[str]) -> set[str]:
        """Those of `user_ids` who were erased, even if events came after that."""
        return ErasedUsers(self._engine).among(user_ids)

    def friends_events(
        self, friends: Sequence[str], as_of: float | None = None
    ) -> FriendsEvents[str]:
        """What friends lately did; see `friends.friends_events`."""
        with self._engine.connect() as db:
            return friends_events(db, friends, as_of)

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
        with self._engine.connect() as db:
            while True:  # one statement each, so that events and version agree
                if rows := db.execute(_HISTORY, parameters).all():
                    return History([Event(*row[:-1]) for row in reversed(rows)], rows[0].version)
                version = db.execute(_VERSION_WITHOUT_EVENTS, parameters).scalar()
                if version is not None or not db.execute(_VERSION, parameters).scalar():
                    return History([], version or 0)

    def recent(self, user_id: str, limit: int, as_of: float | None = None) -> list[Event]:
        """The latest events by (timestamp, order of arrival), oldest first."""
        return self.history(user_id, limit, as_of).events

    def seen(self, user_id: str) -> dict[str, int]:
        """Every item the user ever had an event on, and a mask of these events' kinds."""
        columns = _events.c.item_id, _events.c.kind
        query = select(*columns).where(_events.c.user_id == user_id).distinct()
        kinds: dict[str, int] = {}
        with self._engine.connect() as db:
            for item_id, kind in db.execute(query):
                kinds[item_id] = kinds.get(item_id, 0) | 1 << kind
        return kinds

    def count(self) -> int:
        """Events in the log."""
        with self._engine.connect() as db:
            return db.execute(select(func.count()).select_from(_events)).scalar_one()

    def import_frame(self, frame: pd.DataFrame) -> ImportResult:
        """Stores a whole log at once; a second import of the same rows changes nothing.

        Rows get ids from their content and, for equal rows, their occurrence in the frame; so one
        log must come as one frame. Rows are kept in frame order, which breaks ties of time. Rows of
        users who were erased after they happened are left out.

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
        accepted = erased = 0
        with self._engine.connect() as db, _large_page_cache(db):
            for start in range(0, len(frame), _IMPORT_CHUNK):
                rows = slice(start, start + _IMPORT_CHUNK)
                with db.begin():
                    result = self._import_chunk(db, normalized(frame.iloc[rows]), ids(rows))
                accepted, erased = accepted + result.accepted, erased + result.erased
        return ImportResult(accepted, len(frame) - accepted - erased, erased)

    def expire(self, before: float, most: int) -> dict[str, int] | None:
        """Removes the oldest records of the log: at most `most`, all recorded before a moment.

        Records are looked at in the order in which they were made, from the first.

        Args:
            before: Unix seconds.
            most: records removed at most; their users are locked out meanwhile.

        Returns:
            The new version of every user who lost events, of whom there are none when all were
            erased meanwhile; None when nothing is left to expire.
        """
        columns = _events.c.seq, _events.c.user_id, _events.c.recorded_at
        with self._engine.connect() as db:
            oldest = db.execute(select(*columns).order_by(_events.c.seq).limit(most)).all()
        expired = [row for row in oldest if row.recorded_at < before]
        if not expired:
            return None
        users = {row.user_id for row in expired}
        gone = delete(_events).where(_events.c.seq.in_([row.seq for row in expired]))
        with self._engine.begin() as db:
            versions.lock(db, users)
            losers = set(db.execute(gone.returning(_events.c.user_id)).scalars())
            grown = versions.grow(db, losers)
            if len(losers) < len(users):  # erased in between
                versions.forget(db, users, unused=True)
        return grown

    def read_frame(self) -> pd.DataFrame:
        """The whole log by (timestamp, order of arrival), with the columns `import_frame` takes.

        Dtypes: ids and region categorical (str), kind int8, value and timestamp float64. The
        categories are in order of arrival.
        """
        query = select(*(_events.c[name] for name in FRAME_COLUMNS)).order_by(_events.c.seq)
        with self._engine.connect() as db:
            result = db.execution_options(yield_per=_IMPORT_CHUNK).execute(query)
            return frame_of(result.partitions())

    def _import_chunk(self, db: Connection, chunk: pd.DataFrame, ids: list[str]) -> ImportResult:
        users = set(chunk["user_id"])
        versions.lock(db, users)
        columns = [chunk[name].tolist() for name in FRAME_COLUMNS]
        always = repeat(""), repeat(time.time())  # request_id, recorded_at
        rows = list(zip(ids, *columns, *always, strict=False))
        kept = _not_erased(rows, tombstones(db, users))
        accepted = db.exec_driver_sql(self._insert_row, kept).rowcount if kept else 0
        if accepted:
            versions.grow(db, {row[1] for row in kept})
        if len(kept) < len(rows):
            versions.forget(db, users, unused=True)
        return ImportResult(accepted, len(kept) - accepted, len(rows) - len(kept))


def erase_events(db: Connection, user_id: str) -> int:
    """Removes a user's events; returns how many there were."""
    return db.execute(delete(_events).where(_events.c.user_id == user_id)).rowcount


def _not_erased(rows: list[tuple[Any, ...]], erased: dict[str, Tombstone]) -> list[tuple[Any, ...]]:
    if not erased:
        return rows
    until = {user_id: tombstone.erased_at for user_id, tombstone in erased.items()}
    user, timestamp = (1 + FRAME_COLUMNS.index(name) for name in ("user_id", "timestamp"))
    return [row for row in rows if row[timestamp] > until.get(row[user], -math.inf)]


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
