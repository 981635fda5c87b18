"""Items that were added or changed after a release was trained: the table that all services follow.

An item's number is its place among all ids that were ever upserted: append-only, never reused. In a
release of n items, one that the release does not hold has row n + number, in every service; one
that it holds keeps its row, and what the table says of it goes over what the release says.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    Integer,
    SmallInteger,
    String,
    Table,
    select,
    update,
)

from services.common.database import insert_of, metadata
from services.common.errors import FailedPrecondition

MOST_LIVE_ITEMS = 50_000
"""Ids that the table takes: each service keeps all of it in memory."""

_items = Table(
    "live_items",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("item_id", String(128), nullable=False, unique=True),
    Column("title", String(1_000), nullable=False),
    Column("genres", JSON, nullable=False),
    Column("year", SmallInteger, nullable=False),
    Column("adult", Boolean, nullable=False),
    Column("available", Boolean, nullable=False),
    Column("creators", JSON, nullable=False, server_default="[]"),
    Column("available_from", Double, nullable=False, server_default="0"),
    Column("available_until", Double, nullable=False, server_default="0"),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
)

_counter = Table(
    "live_items_counter",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("items", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class LiveItem:
    """What is known of an item.

    Attributes:
        item_id: opaque id.
        title: empty when unknown.
        genres: names, each once.
        year: 0 when unknown.
        adult: whether it is for adults only.
        available: whether it may be shown.
        creators: names, each once.
        available_from: when it may first be shown, in Unix seconds; 0 for from ever.
        available_until: from when on it may not, in Unix seconds; 0 for never.
        seq: its number; the table gives it.
        created_at: when it was first upserted, in Unix seconds; the table gives it.
        revision: of the table when it was last upserted; the table gives it.
    """

    item_id: str
    title: str = ""
    genres: tuple[str, ...] = ()
    year: int = 0
    adult: bool = False
    available: bool = True
    creators: tuple[str, ...] = ()
    available_from: float = 0.0
    available_until: float = 0.0
    seq: int = -1
    created_at: float = 0.0
    revision: int = 0

    @property
    def end(self) -> float:
        """`available_until` as `models.release.Items` has it: infinite for never."""
        return self.available_until or math.inf


_COLUMNS = [_items.c[name] for name in LiveItem.__dataclass_fields__]
_CHANGED = (
    "title",
    "genres",
    "year",
    "adult",
    "available",
    "creators",
    "available_from",
    "available_until",
    "updated_at",
    "revision",
)


class LiveItemTable:
    """Reads and writes live items. Every method is one transaction, and blocks.

    Writers lock one counter row first, which gives revisions and numbers. So transactions commit in
    the order of their revisions, and who has read up to one has missed nothing below it.
    """

    def __init__(self, engine: Engine, most: int = MOST_LIVE_ITEMS) -> None:
        self._engine = engine
        self._most = most
        self._insert = insert_of(engine)

    def upsert(self, items: Sequence[LiveItem]) -> int:
        """Stores items; each replaces all that was known of its id, and the last of an id counts.

        Returns:
            The revision that holds them.

        Raises:
            FailedPrecondition: the table is full; nothing is stored.
        """
        latest = {item.item_id: item for item in items}
        now = time.time()
        with self._engine.begin() as db:
            held, revision = self._lock(db)
            known = self._numbers(db, list(latest))
            new = [item_id for item_id in latest if item_id not in known]
            if held + len(new) > self._most:
                raise FailedPrecondition(
                    f"items: {len(new)} new ones, but {held} of at most {self._most} are held"
                )
            known |= {item_id: held + place for place, item_id in enumerate(new)}
            rows = [
                {**_row(item), "seq": known[item.item_id], "revision": revision}
                | {"created_at": now, "updated_at": now}
                for item in latest.values()
            ]
            insert = self._insert(_items)
            changed = {name: insert.excluded[name] for name in _CHANGED}
            db.execute(insert.on_conflict_do_update(index_elements=["seq"], set_=changed), rows)
            db.execute(update(_counter).values(items=held + len(new)))
        return revision

    def changes_since(self, revision: int) -> list[LiveItem]:
        """What was upserted after a revision, by number; all items after revision 0."""
        query = select(*_COLUMNS).where(_items.c.revision > revision).order_by(_items.c.seq)
        with self._engine.connect() as db:
            return [_item(row) for row in db.execute(query)]

    def read(self, item_ids: Sequence[str]) -> dict[str, LiveItem]:
        """Items by id; unknown ids are left out."""
        query = select(*_COLUMNS).where(_items.c.item_id.in_(item_ids))
        with self._engine.connect() as db:
            return {row.item_id: _item(row) for row in db.execute(query)}

    def _lock(self, db: Connection) -> tuple[int, int]:
        """Waits for other writers; how many items there are, and this writer's revision."""
        first = self._insert(_counter).values(id=1, items=0, revision=1)
        locked = db.execute(
            first.on_conflict_do_update(
                index_elements=["id"], set_={"revision": _counter.c.revision + 1}
            ).returning(_counter.c["items"], _counter.c.revision)
        ).one()
        return locked[0], locked[1]

    def _numbers(self, db: Connection, item_ids: list[str]) -> dict[str, int]:
        query = select(_items.c.item_id, _items.c.seq).where(_items.c.item_id.in_(item_ids))
        return {item_id: seq for item_id, seq in db.execute(query)}


def _row(item: LiveItem) -> dict[str, object]:
    return {name: getattr(item, name) for name in LiveItem.__dataclass_fields__}


def _item(row: object) -> LiveItem:
    item = LiveItem(*row)  # type: ignore[misc]  # a row is a tuple of the columns asked for
    return replace(item, genres=tuple(item.genres), creators=tuple(item.creators))
