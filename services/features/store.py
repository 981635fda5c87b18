"""The online store: what the service needs of one, and Feast as the one it uses."""

import asyncio
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any, Protocol, TypeVar

import feast
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from services.common.errors import Unavailable
from services.features.feast_deletion import delete_rows, delete_rows_of_release
from services.features.feast_rows import Key, Row, decode_row, encode_rows, feature_names
from services.features.release_rows import ItemMetadata, RowCounts, UserProfile
from services.features.repo import definitions
from services.features.sessions import Session

_OPEN_ATTEMPTS = 5
_PUSHED_USERS = 100_000
_NEVER = sys.maxsize
_ITEMS_A_READ = 100  # a read of so many items holds up others for a few milliseconds
_BETWEEN_BATCHES_SECONDS = 0.005  # for live reads; nobody waits for rows to go

T = TypeVar("T")


class FeatureStore(Protocol):
    """Reads and writes rows of the online store.

    Every method raises `Unavailable` when the store cannot be reached.
    """

    async def read_user(self, user_id: str, release_id: str) -> tuple[Session, UserProfile]:
        """What is stored of a user; an unknown session has version 0, other unknowns are empty."""

    async def push_sessions(self, sessions: Mapping[str, Session]) -> None:
        """Stores sessions by user id; one that is not newer than the stored one changes nothing."""

    async def erase_user(self, user_id: str, release_ids: Sequence[str]) -> None:
        """Removes a user's session, and the user's rows of releases, as if they never were."""

    async def read_items(self, release_id: str, item_ids: Sequence[str]) -> list[ItemMetadata]:
        """Known items, in the order asked for."""

    async def push_users(self, release_id: str, users: Sequence[UserProfile]) -> None:
        """Stores users of a release."""

    async def push_items(self, release_id: str, items: Sequence[ItemMetadata]) -> None:
        """Stores items of a release."""

    async def read_release(self, release_id: str) -> RowCounts | None:
        """Row counts of a release whose rows are all stored, else None."""

    async def complete_release(self, release_id: str, counts: RowCounts) -> None:
        """Says that all rows of a release are stored."""

    async def drop_release(self, release_id: str) -> None:
        """Removes all rows of a release, also of one that is not complete."""

    async def close(self) -> None:
        """Waits for calls in progress and lets go of the store."""


class FeastStore:
    """`FeatureStore` over Feast.

    All of Feast's calls run on one thread: its SQLite store shares one connection, on which one
    caller can roll back another's write.
    """

    def __init__(self, config: feast.RepoConfig) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="feast")
        self._config = config
        self._opened: feast.FeatureStore | None = None
        # What was pushed last: a session that is newer than that needs no look at the store, which
        # takes as long as the write. A user who was erased since only makes it look.
        self._pushed: dict[str, int] = {}

    async def open(self) -> None:
        """Opens the store and applies the definitions to it, as `feast apply` does."""
        for _ in range(_OPEN_ATTEMPTS - 1):
            try:
                return await self._call(self._apply)
            except DBAPIError:
                # Replicas that start together on an empty SQL registry all try to make its tables.
                await asyncio.sleep(random.uniform(0.1, 0.5))
        await self._call(self._apply)

    async def read_user(self, user_id: str, release_id: str) -> tuple[Session, UserProfile]:
        views = [definitions.user_session, definitions.user_profile]
        key = {"user_id": user_id, "release_id": release_id}
        [found] = await self._call(partial(self._read, views, [key]))
        session = decode_row(Session, definitions.user_session, found)
        return session, decode_row(UserProfile, definitions.user_profile, found, user_id=user_id)

    async def push_sessions(self, sessions: Mapping[str, Session]) -> None:
        await self._call(partial(self._push_newest, sessions))

    async def erase_user(self, user_id: str, release_ids: Sequence[str]) -> None:
        profiles = [{"user_id": user_id, "release_id": each} for each in release_ids]
        await self._call(partial(self._delete, definitions.user_session, [{"user_id": user_id}]))
        await self._call(partial(self._delete, definitions.user_profile, profiles))

    async def read_items(self, release_id: str, item_ids: Sequence[str]) -> list[ItemMetadata]:
        view, items = definitions.item_metadata, list[ItemMetadata]()
        for start in range(0, len(item_ids), _ITEMS_A_READ):
            ids = item_ids[start : start + _ITEMS_A_READ]
            keys = [{"item_id": item_id, "release_id": release_id} for item_id in ids]
            rows = await self._call(partial(self._read, [view], keys))
            items += [
                decode_row(ItemMetadata, view, row, item_id=row["item_id"])
                for row in rows
                if row["item_metadata__title"] is not None
            ]
        return items

    async def push_users(self, release_id: str, users: Sequence[UserProfile]) -> None:
        keyed = [({"user_id": user.user_id, "release_id": release_id}, user) for user in users]
        await self._call(partial(self._write, definitions.user_profile, keyed))

    async def push_items(self, release_id: str, items: Sequence[ItemMetadata]) -> None:
        keyed = [({"item_id": item.item_id, "release_id": release_id}, item) for item in items]
        await self._call(partial(self._write, definitions.item_metadata, keyed))

    async def read_release(self, release_id: str) -> RowCounts | None:
        key = {"release_id": release_id}
        [found] = await self._call(partial(self._read, [definitions.release_rows], [key]))
        if found["release_rows__items"] is None:
            return None
        return RowCounts(found["release_rows__users"], found["release_rows__items"])

    async def complete_release(self, release_id: str, counts: RowCounts) -> None:
        row = ({"release_id": release_id}, counts)
        await self._call(partial(self._write, definitions.release_rows, [row]))

    async def drop_release(self, release_id: str) -> None:
        key = {"release_id": release_id}
        await self._call(partial(self._delete, definitions.release_rows, [key]))
        for view in (definitions.user_profile, definitions.item_metadata):
            batches = await self._call(partial(self._dropping, view, release_id))
            while True:
                if await self._call(partial(next, batches, None)) is None:
                    break
                await asyncio.sleep(_BETWEEN_BATCHES_SECONDS)

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)
        self._opened = None

    async def _call(self, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        except (RedisError, sqlite3.Error, OSError) as error:
            raise Unavailable(f"the online store does not answer: {error}") from error

    def _apply(self) -> None:
        if self._config.online_store.type == "sqlite":
            # The journal mode stays with the file; a write then costs one fsync and not three.
            with closing(sqlite3.connect(self._config.online_store.path)) as db:
                db.execute("PRAGMA journal_mode=WAL")
        store = feast.FeatureStore(config=self._config)
        store.apply([*definitions.ENTITIES, definitions.session_push, *definitions.VIEWS])
        if self._config.online_store.type == "sqlite":
            # The log is what must survive a power loss. Rows that the online store loses then are
            # always the newest, and readers see by a session's version that it is not the last.
            connection = store.provider.online_store._get_conn(self._config)
            connection.execute("PRAGMA synchronous=NORMAL")
        self._opened = store

    @property
    def _feast(self) -> feast.FeatureStore:
        if self._opened is None:
            raise Unavailable("the online store is not open yet")
        return self._opened

    def _read(
        self, views: Sequence[feast.FeatureView], keys: Sequence[Key], names: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Rows by key, columns named `view__feature`, all of them or those in `names`."""
        features = [
            f"{view.name}:{name}"
            for view in views
            for name in feature_names(view)
            if not names or name in names
        ]
        columns = self._feast.get_online_features(
            features=features, entity_rows=list(keys), full_feature_names=True
        ).to_dict()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _write(self, view: feast.FeatureView, rows: Sequence[tuple[Key, Row]]) -> None:
        # Below `FeatureStore.push`, which spends 4 ms a call on data frames and type checks.
        self._feast.provider.online_write_batch(self._config, view, encode_rows(view, rows), None)

    def _delete(self, view: feast.FeatureView, keys: Sequence[Key]) -> None:
        delete_rows(self._feast.provider.online_store, self._config, view, keys)

    def _dropping(self, view: feast.FeatureView, release_id: str) -> Iterator[int]:
        store = self._feast.provider.online_store
        return delete_rows_of_release(store, self._config, view, release_id)

    def _push_newest(self, sessions: Mapping[str, Session]) -> None:
        # SQLite lets an older row overwrite a newer one. Redis compares event times itself, but not
        # atomically with the write; what two replicas get wrong there, readers see by the version.
        unsure = [
            user for user in sessions if self._pushed.get(user, _NEVER) >= sessions[user].version
        ]
        stored = self._stored_versions(unsure) if unsure else {}
        newer = {user: s for user, s in sessions.items() if stored.get(user, 0) < s.version}
        if newer:
            rows = [({"user_id": user}, session) for user, session in newer.items()]
            self._write(definitions.user_session, rows)
        if len(self._pushed) > _PUSHED_USERS:
            self._pushed.clear()
        self._pushed.update({user: session.version for user, session in newer.items()})

    def _stored_versions(self, users: Sequence[str]) -> dict[str, int]:
        keys = [{"user_id": user} for user in users]
        stored = self._read([definitions.user_session], keys, names=["version"])
        return {row["user_id"]: row["user_session__version"] or 0 for row in stored}
