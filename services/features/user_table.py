"""Users as their system of record knows them: upserted live, in place of what a release knows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import starmap
from typing import Any

import pandas as pd
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Double,
    Engine,
    String,
    Table,
    bindparam,
    delete,
    select,
)

from services.common.database import insert_of, metadata
from services.common.erased import erased_users, user_hash
from services.features.events import MAX_REGION_LENGTH, FieldError, check_id, check_text
from services.features.release_rows import UserProfile
from services.features.versions import user_versions

MAX_USERS = 1_000
MAX_FRIENDS = 1_000

TABLE = "users"

_users = Table(
    TABLE,
    metadata,
    Column("user_id", String(128), primary_key=True),
    Column("region", String(64), nullable=False),
    Column("friends", JSON, nullable=False),
    Column("updated_at", Double, nullable=False),
)

# Built once: building it costs more than running it.
_STANDING = select(
    *(
        select(column).where(table.c.user_id == bindparam("user")).scalar_subquery().label(name)
        for name, column, table in (
            ("version", user_versions.c.version, user_versions),
            ("region", _users.c.region, _users),
            ("friends", _users.c.friends, _users),
        )
    ),
    select(erased_users.c.erased_at)
    .where(erased_users.c.user_hash == bindparam("hash"))
    .scalar_subquery()
    .label("erased_at"),
)


@dataclass(frozen=True)
class User:
    """A user as upserted; it replaces all that was known of the id.

    Attributes:
        user_id: who.
        region: home region; may be empty.
        friends: ids of users whose doings this user sees.
    """

    user_id: str
    region: str = ""
    friends: Sequence[str] = ()


@dataclass(frozen=True)
class Standing:
    """How the database stands to a user, at one moment.

    Attributes:
        version: of the user's events; 0 for a user without any.
        user: what was upserted, if anything.
        erased: whether the user was ever erased: then nothing that training made is theirs.
    """

    version: int
    user: User | None
    erased: bool


def current_profile(profile: UserProfile, standing: Standing) -> UserProfile:
    """A release's profile, without what an erasure took away, under what was upserted since."""
    if standing.erased:
        profile = UserProfile(profile.user_id)
    if standing.user is not None:
        profile = replace(profile, region=standing.user.region, friends=standing.user.friends)
    return profile


def validate_user(user: User) -> FieldError | None:
    """The first rule a user breaks, in the order of the message's fields; None for a good one.

    Ids are 1 to 128 printable characters, a region has at most 64, and friends are at most 1,000.
    """
    if len(user.friends) > MAX_FRIENDS:
        too_many = f"holds {len(user.friends):,}, at most {MAX_FRIENDS:,} are allowed"
    else:
        too_many = ""
    return (
        check_id("user_id", user.user_id)
        or check_text("region", user.region, MAX_REGION_LENGTH)
        or (FieldError("friends", too_many) if too_many else None)
        or next(filter(None, starmap(_check_friend, enumerate(user.friends))), None)
    )


def _check_friend(place: int, friend: str) -> FieldError | None:
    return check_id(f"friends[{place}]", friend)


class UserTable:
    """Writes and reads upserted users. Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def upsert(self, users: Sequence[User]) -> None:
        """Stores users durably; of several with one id, the last."""
        last = {user.user_id: user for user in users}
        now = time.time()
        rows = [
            {
                "user_id": u.user_id,
                "region": u.region,
                "friends": list(u.friends),
                "updated_at": now,
            }
            for _, u in sorted(last.items())  # one order, so that no two requests wait for another
        ]
        build = insert_of(self._engine)
        insert = build(_users)
        names = ("region", "friends", "updated_at")
        replace = insert.on_conflict_do_update(
            index_elements=["user_id"], set_={name: insert.excluded[name] for name in names}
        )
        with self._engine.begin() as db:
            db.execute(replace, rows)

    def read_frame(self) -> pd.DataFrame:
        """All upserted users by id: `user_id`, `region` (str), `friends` (tuple of user ids)."""
        query = select(_users.c.user_id, _users.c.region, _users.c.friends)
        with self._engine.connect() as db:
            rows = db.execute(query.order_by(_users.c.user_id)).all()
        columns: dict[str, list[Any]] = {
            "user_id": [row.user_id for row in rows],
            "region": [row.region for row in rows],
            "friends": [tuple(row.friends) for row in rows],
        }
        return pd.DataFrame(columns, dtype=object)


def read_standing(db: Connection, user_id: str) -> Standing:
    """All that the database says of a user apart from events, in one statement."""
    row = db.execute(_STANDING, {"user": user_id, "hash": user_hash(user_id)}).one()
    user = None if row.region is None else User(user_id, row.region, tuple(row.friends))
    return Standing(row.version or 0, user, row.erased_at is not None)


def erase_user(db: Connection, user_id: str) -> int:
    """Removes a user from the table; returns how many rows went."""
    return db.execute(delete(_users).where(_users.c.user_id == user_id)).rowcount
