"""The slate log: what was shown to whom, where, and with which chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Double,
    Engine,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    delete,
    select,
)

from services.common.database import insert_of, metadata, overwriting

FORMAT_VERSION = 1
"""Of rows; one that says more of a slate has a larger number."""

_slates = Table(
    "slates",
    metadata,
    Column("request_id", String(128), primary_key=True),
    Column("user_id", String(128), nullable=False, index=True),
    Column("release_id", String(64), nullable=False),
    Column("served_at", Double, nullable=False, index=True),
    Column("level", String(16), nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("items", JSON, nullable=False),
)

_details = Table(
    "slate_details",
    metadata,
    Column("request_id", String(128), primary_key=True),
    Column("user_id", String(128), nullable=False, index=True),
    Column("served_at", Double, nullable=False, index=True),
    Column("detail", LargeBinary, nullable=False),
)


@dataclass(frozen=True)
class ShownItem:
    """One place of a slate.

    Attributes:
        item_id: what was shown.
        position: where, from 0.
        score: as answered.
        propensity: chance with which it was put there; see `RecommendedItem.propensity`.
        sources: what found it.
    """

    item_id: str
    position: int
    score: float
    propensity: float
    sources: tuple[str, ...]


@dataclass(frozen=True)
class ServedSlate:
    """One answer to Recommend.

    Attributes:
        request_id, user_id, release_id: ids; a request id is logged once.
        served_at: Unix seconds.
        level: name of the level.
        items: best first.
        detail: all that it was made from, for whoever can read it; kept for a shorter time.
        version: format of the row.
    """

    request_id: str
    user_id: str
    release_id: str
    served_at: float
    level: str
    items: tuple[ShownItem, ...]
    detail: bytes | None = None
    version: int = FORMAT_VERSION


_OF_DETAILS = ("request_id", "user_id", "served_at", "detail")
_COLUMNS = list(_slates.c)


class SlateLog:
    """Reads and writes logged slates. Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._insert = insert_of(engine)

    def write(self, slates: Sequence[ServedSlate]) -> None:
        """Stores slates; one whose request id is known already changes nothing."""
        rows = [asdict(slate) for slate in slates]
        details = [{name: row[name] for name in _OF_DETAILS} for row in rows]
        for row in rows:
            del row["detail"]
        with self._engine.begin() as db:
            self._put(db, _slates, rows)
            self._put(db, _details, [each for each in details if each["detail"] is not None])

    def _put(self, db: Connection, table: Table, rows: list[dict[str, object]]) -> None:
        if rows:
            insert = self._insert(table).on_conflict_do_nothing(index_elements=["request_id"])
            db.execute(insert, rows)

    def read(self, request_id: str) -> ServedSlate | None:
        """The slate of a request; None when it is not in the log."""
        with self._engine.connect() as db:
            row = db.execute(_with_details().where(_slates.c.request_id == request_id)).first()
        return None if row is None else _slate(row)

    def last(self, count: int) -> list[ServedSlate]:
        """The newest slates whose details are kept, newest first."""
        newest = _details.c.served_at.desc()
        wanted = _with_details().where(_details.c.detail.is_not(None)).order_by(newest)
        with self._engine.connect() as db:
            return [_slate(row) for row in db.execute(wanted.limit(count))]

    def shown_to(self, user_id: str, since: float) -> dict[str, list[str]]:
        """Item ids of the slates served to a user since a moment (Unix seconds), by request id."""
        wanted = select(_slates.c.request_id, _slates.c["items"]).where(
            _slates.c.user_id == user_id, _slates.c.served_at >= since
        )
        with self._engine.connect() as db:
            return {
                row.request_id: [item["item_id"] for item in row._mapping["items"]]
                for row in db.execute(wanted)
            }

    def erase(self, user_id: str, until: float = math.inf) -> int:
        """Deletes slates of a user served until a moment, and says how many there were."""
        with self._engine.connect() as db, overwriting(db):
            return erase_slates(db, user_id, until)

    def trim(self, before: float, details_before: float) -> int:
        """Deletes slates, and details, served before moments (Unix seconds); returns how many
        slates."""
        with self._engine.begin() as db:
            db.execute(delete(_details).where(_details.c.served_at < max(before, details_before)))
            return db.execute(delete(_slates).where(_slates.c.served_at < before)).rowcount


def erase_slates(db: Connection, user_id: str, until: float = math.inf) -> int:
    """Deletes slates of a user served until a moment (Unix seconds); returns how many."""
    counts = [
        db.execute(
            delete(table).where(table.c.user_id == user_id, table.c.served_at <= until)
        ).rowcount
        for table in (_details, _slates)
    ]
    return counts[-1]


def _with_details() -> Any:
    joined = _slates.outerjoin(_details, _slates.c.request_id == _details.c.request_id)
    return select(*_COLUMNS, _details.c.detail).select_from(joined)


def _slate(row: Any) -> ServedSlate:
    return ServedSlate(**{**row._mapping, "items": tuple(map(_shown, row._mapping["items"]))})


def _shown(raw: Mapping[str, object]) -> ShownItem:
    known = {name: raw[name] for name in ShownItem.__dataclass_fields__}
    return ShownItem(**{**known, "sources": tuple(raw["sources"])})  # type: ignore[arg-type]
