"""The version of each user's events: grows with every change, and locks out other writers."""

from collections.abc import Collection

from sqlalchemy import BigInteger, Column, Connection, String, Table, delete, update

from services.common.database import insert_of, metadata
from services.common.erased import tombstones

user_versions = Table(
    "user_versions",
    metadata,
    Column("user_id", String(128), primary_key=True),
    Column("version", BigInteger, nullable=False),
)

_IN_CHUNK = 5_000  # values an IN list; SQLite takes 32,766 parameters a statement


def lock(db: Connection, users: Collection[str]) -> None:
    """Locks the version rows of users until the transaction ends, in the order of the ids.

    All who change events do this first: two writers for one user follow one another, and no two
    writers wait for each other.
    """
    build = insert_of(db)
    touch = build(user_versions).on_conflict_do_update(
        index_elements=["user_id"], set_={"version": user_versions.c.version}
    )
    db.execute(touch, [{"user_id": user, "version": 0} for user in sorted(users)])


def grow(db: Connection, users: Collection[str]) -> dict[str, int]:
    """Adds one to the versions of locked users, and returns them.

    A user who comes back after an erasure starts above all versions of before: copies of the old
    session or of the old seen items, wherever they linger, then are of no current version.
    """
    ordered = sorted(users)
    versions: dict[str, int] = {}
    for start in range(0, len(ordered), _IN_CHUNK):
        step = (
            update(user_versions)
            .where(user_versions.c.user_id.in_(ordered[start : start + _IN_CHUNK]))
            .values(version=user_versions.c.version + 1)
            .returning(user_versions.c.user_id, user_versions.c.version)
        )
        versions.update((row.user_id, row.version) for row in db.execute(step))
    new = [user for user, version in versions.items() if version == 1]
    for user, tombstone in (tombstones(db, new) if new else {}).items():
        versions[user] = tombstone.version + 1
        row = user_versions.c.user_id == user
        db.execute(update(user_versions).where(row).values(version=versions[user]))
    return versions


def forget(db: Connection, users: Collection[str], *, unused: bool = False) -> None:
    """Removes version rows, all or only those of users who never had an event."""
    ordered = sorted(users)
    for start in range(0, len(ordered), _IN_CHUNK):
        chunk = ordered[start : start + _IN_CHUNK]
        rows = delete(user_versions).where(user_versions.c.user_id.in_(chunk))
        db.execute(rows.where(user_versions.c.version == 0) if unused else rows)
