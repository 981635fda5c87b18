"""Batch recommendations: one ranked list a user and release, written once, read at any time."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.schema import CreateTable, DropTable

from services.common.database import metadata, overwriting
from services.common.erased import erased_users, tombstones, user_hash

_stored = Table(
    "stored_recommendations",
    metadata,
    Column("release_id", String(64), primary_key=True),
    Column("user_id", String(128), primary_key=True),
    Column("item_ids", JSON, nullable=False),
    Column("scores", JSON, nullable=False),
)

_staged = Table(
    "staged_recommendations",
    MetaData(),
    Column("user_id", String(128), primary_key=True),
    Column("item_ids", JSON, nullable=False),
    Column("scores", JSON, nullable=False),
    prefixes=["TEMPORARY"],
)

_CHUNK = 2_000  # users an INSERT


def _nothing(_db: Connection) -> None:
    pass


class StoredRecommendations:
    """Reads and writes stored lists. Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(
        self,
        release_id: str,
        lists: Iterable[tuple[str, Sequence[str], Sequence[float]]],
        also: Callable[[Connection], object] = _nothing,
    ) -> int:
        """Replaces all lists of a release by `(user_id, item_ids, scores)`, best first.

        In one transaction: when `lists` or the database fails, what was stored before still is,
        and readers see the old lists until all new ones are there. They are gathered in a
        temporary table, so that SQLite, which has one writer at a time, is closed to live events
        only while the table is copied.

        Args:
            release_id: whose lists.
            lists: of users, each user once.
            also: done last in the same transaction; when it fails, nothing is written.

        Returns:
            The number of users written.
        """
        written = 0
        columns = ["user_id", "item_ids", "scores"]
        with self._engine.begin() as db:
            db.execute(DropTable(_staged, if_exists=True))  # of a write that failed
            db.execute(CreateTable(_staged))
            rows = (
                {
                    "user_id": user_id,
                    "item_ids": list(item_ids),
                    "scores": [float(score) for score in scores],
                }
                for user_id, item_ids, scores in lists
            )
            while chunk := list(islice(rows, _CHUNK)):
                db.execute(insert(_staged), chunk)
                written += len(chunk)
            db.execute(delete(_stored).where(_stored.c.release_id == release_id))
            all_of_it = select(literal(release_id), *(_staged.c[name] for name in columns))
            db.execute(insert(_stored).from_select(["release_id", *columns], all_of_it))
            db.execute(DropTable(_staged))
            also(db)
        return written

    def drop_erased(self, release_id: str) -> int:
        """Removes a release's lists of erased users; returns how many there were.

        An erasure while lists are written does not see them, and who writes may not see it; so this
        is to follow.
        """
        ours, last = _stored.c.release_id == release_id, ""
        query = select(_stored.c.user_id).where(ours).order_by(_stored.c.user_id).limit(_CHUNK)
        gone: list[str] = []
        with self._engine.connect() as db:
            while users := db.execute(query.where(_stored.c.user_id > last)).scalars().all():
                gone += tombstones(db, users)
                last = users[-1]
        if gone:
            with self._engine.connect() as db, overwriting(db):
                for user_id in gone:
                    db.execute(delete(_stored).where(ours, _stored.c.user_id == user_id))
        return len(gone)

    def releases(self) -> set[str]:
        """Ids of the releases that lists are stored of, registered or not."""
        with self._engine.connect() as db:
            return set(db.execute(select(_stored.c.release_id).distinct()).scalars())

    def count(self, release_id: str) -> int:
        """Lists that are stored of a release."""
        query = select(func.count()).where(_stored.c.release_id == release_id)
        with self._engine.connect() as db:
            return db.execute(query).scalar_one()

    def drop(self, release_id: str) -> int:
        """Removes all lists of a release, in batches that other writers pass between; returns how
        many there were."""
        ours = _stored.c.release_id == release_id
        batch = select(_stored.c.user_id).where(ours).limit(_CHUNK)
        gone = 0
        while True:
            with self._engine.begin() as db:
                dropped = db.execute(delete(_stored).where(ours, _stored.c.user_id.in_(batch)))
            gone += dropped.rowcount
            if dropped.rowcount < _CHUNK:
                return gone

    def read(self, release_id: str, user_id: str) -> tuple[list[str], list[float]] | None:
        """A user's list as `(item_ids, scores)`, best first; None without one.

        An erased user has none: training that began before the erasure may have written one since.
        """
        with self._engine.connect() as db:
            row = db.execute(
                select(_stored.c.item_ids, _stored.c.scores)
                .where(_stored.c.release_id == release_id)
                .where(_stored.c.user_id == user_id)
                .where(~exists().where(erased_users.c.user_hash == user_hash(user_id)))
            ).first()
        return None if row is None else (list(row.item_ids), list(row.scores))


def delete_user(db: Connection, user_id: str) -> int:
    """Removes a user's lists, of all releases; returns how many there were."""
    return db.execute(delete(_stored).where(_stored.c.user_id == user_id)).rowcount
