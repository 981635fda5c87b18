"""A `FeatureStore` in memory: what Feast must agree with, and a store for tests."""

from collections.abc import Mapping, Sequence

from services.features.release_rows import ItemMetadata, RowCounts, UserProfile
from services.features.sessions import Session


class InMemoryStore:
    """`FeatureStore` over dicts."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._users: dict[tuple[str, str], UserProfile] = {}
        self._items: dict[tuple[str, str], ItemMetadata] = {}
        self._releases: dict[str, RowCounts] = {}

    async def read_user(self, user_id: str, release_id: str) -> tuple[Session, UserProfile]:
        profile = self._users.get((release_id, user_id), UserProfile(user_id))
        return self._sessions.get(user_id, Session()), profile

    async def push_sessions(self, sessions: Mapping[str, Session]) -> None:
        for user_id, session in sessions.items():
            stored = self._sessions.get(user_id)
            if stored is None or stored.version < session.version:
                self._sessions[user_id] = session

    async def erase_user(self, user_id: str, release_ids: Sequence[str]) -> None:
        self._sessions.pop(user_id, None)
        for release_id in release_ids:
            self._users.pop((release_id, user_id), None)

    async def read_items(self, release_id: str, item_ids: Sequence[str]) -> list[ItemMetadata]:
        keys = ((release_id, item_id) for item_id in item_ids)
        return [self._items[key] for key in keys if key in self._items]

    async def push_users(self, release_id: str, users: Sequence[UserProfile]) -> None:
        self._users.update({(release_id, user.user_id): user for user in users})

    async def push_items(self, release_id: str, items: Sequence[ItemMetadata]) -> None:
        self._items.update({(release_id, item.item_id): item for item in items})

    async def read_release(self, release_id: str) -> RowCounts | None:
        return self._releases.get(release_id)

    async def complete_release(self, release_id: str, counts: RowCounts) -> None:
        self._releases[release_id] = counts

    async def drop_release(self, release_id: str) -> None:
        self._releases.pop(release_id, None)
        for rows in (self._users, self._items):
            for key in [key for key in rows if key[0] == release_id]:
                del rows[key]

    async def close(self) -> None:
        """Nothing to let go of."""
