"""The slate log: what was shown to whom, where, and with which chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Double,
    Engine,
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
        version: format of the row.
    """

    request_id: str
    user_id: str
    release_id: str
    served_at: float
    level: str
    items: tuple[ShownItem, ...]
    version: int = FORMAT_VERSION


_COLUMNS = [_slates.c[name] for name in ServedSlate.__dataclass_fields__]


class SlateLog:
    """Reads and writes logged slates. Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._insert = insert_of(engine)

    def write(self, slates: Sequence[ServedSlate]) -> None:
        """Stores slates; one whose request id is known already changes nothing."""
        if slates:
            insert = self._insert(_slates).on_conflict_do_nothing(index_elements=["request_id"])
            with self._engine.begin() as db:
                db.execute(insert, [asdict(slate) for slate in slates])

    def read(self, request_id: str) -> ServedSlate | None:
        """The slate of a request; None when it is not in the log."""
        with self._engine.connect() as db:
            row = db.execute(select(*_COLUMNS).where(_slates.c.request_id == request_id)).first()
        if row is None:
            return None
        return ServedSlate(**{**row._mapping, "items": tuple(map(_shown, row.items))})

    def erase(self, user_id: str, until: float = math.inf) -> int:
        """Deletes slates of a user served until a moment, and says how many there were."""
        with self._engine.connect() as db, overwriting(db):
            return erase_slates(db, user_id, until)

    def trim(self, before: float) -> int:
        """Deletes slates served before a moment (Unix seconds), and says how many there were."""
        with self._engine.begin() as db:
            return db.execute(delete(_slates).where(_slates.c.served_at < before)).rowcount


def erase_slates(db: Connection, user_id: str, until: float = math.inf) -> int:
    """Deletes slates of a user served until a moment (Unix seconds); returns how many."""
    gone = delete(_slates).where(_slates.c.user_id == user_id, _slates.c.served_at <= until)
    return db.execute(gone).rowcount


def _shown(raw: Mapping[str, object]) -> ShownItem:
    known = {name: raw[name] for name in ShownItem.__dataclass_fields__}
    return ShownItem(**{**known, "sources": tuple(raw["sources"])})  # type: ignore[arg-type]
