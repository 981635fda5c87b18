"""Users who were erased: what is left of them is a hash, so that nothing brings their data back."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    Index,
    String,
    Table,
    select,
    update,
)

from services.common.database import insert_of, metadata

erased_users = Table(
    "erased_users",
    metadata,
    Column("user_hash", String(64), primary_key=True),
    Column("erased_at", Double, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("user_id", String(128)),  # only until it is done
)
Index("erased_users_by_time", erased_users.c.erased_at)

_IN_CHUNK = 5_000  # values an IN list; SQLite takes 32,766 parameters a statement


def user_hash(user_id: str) -> str:
    """What a tombstone keeps of a user id: SHA-256, in hexadecimal digits."""
    return hashlib.sha256(user_id.encode()).hexdigest()


@dataclass(frozen=True)
class Tombstone:
    """That a user was erased.

    Attributes:
        erased_at: when, in Unix seconds.
        version: above every version that the user's events had, and below all that follow.
    """

    erased_at: float
    version: int


def bury(db: Connection, user_id: str, erased_at: float, version: int) -> None:
    """Writes a user's tombstone, or renews it; the erasure counts as pending."""
    values = {"erased_at": erased_at, "version": version, "done": False, "user_id": user_id}
    build = insert_of(db)
    insert = build(erased_users).values(user_hash=user_hash(user_id), **values)
    db.execute(insert.on_conflict_do_update(index_elements=["user_hash"], set_=values))


def tombstones(db: Connection, user_ids: Collection[str]) -> dict[str, Tombstone]:
    """Tombstones by user id, of those users who were erased."""
    if db.execute(select(erased_users.c.user_hash).limit(1)).first() is None:
        return {}  # nearly always: spares the hashes of a whole log
    found: dict[str, Tombstone] = {}
    for chunk in _chunks(user_ids):
        ids = {user_hash(user_id): user_id for user_id in chunk}
        columns = erased_users.c.user_hash, erased_users.c.erased_at, erased_users.c.version
        query = select(*columns).where(erased_users.c.user_hash.in_(ids))
        found |= {ids[row[0]]: Tombstone(row[1], row[2]) for row in db.execute(query)}
    return found


class ErasedUsers:
    """Reads and ends erasures. Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def among(self, user_ids: Collection[str]) -> set[str]:
        """Those of `user_ids` who were erased, even if events came after that."""
        with self._engine.connect() as db:
            return set(tombstones(db, user_ids))

    def tombstone(self, user_id: str) -> Tombstone:
        """That of a user who was erased.

        Raises:
            KeyError: the user never was.
        """
        with self._engine.connect() as db:
            return tombstones(db, [user_id])[user_id]

    def since(self, moment: float) -> set[str]:
        """Hashes of the users erased at or after a moment, in Unix seconds."""
        query = select(erased_users.c.user_hash).where(erased_users.c.erased_at >= moment)
        with self._engine.connect() as db:
            return set(db.execute(query).scalars())

    def pending(self) -> list[str]:
        """Users gone from the database but perhaps not from the other stores."""
        query = select(erased_users.c.user_id).where(~erased_users.c.done)
        with self._engine.connect() as db:
            return [user_id for user_id in db.execute(query).scalars() if user_id is not None]

    def finish(self, user_id: str) -> None:
        """Says that nothing is left of a user anywhere; the id itself goes, too."""
        done = update(erased_users).where(erased_users.c.user_hash == user_hash(user_id))
        with self._engine.begin() as db:
            db.execute(done.values(done=True, user_id=None))


def _chunks(user_ids: Collection[str]) -> Iterator[Sequence[str]]:
    ids = list(user_ids)
    return (ids[start : start + _IN_CHUNK] for start in range(0, len(ids), _IN_CHUNK))
