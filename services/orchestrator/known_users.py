"""What the last answers of the features service said of users."""

from collections import OrderedDict
from collections.abc import Set
from dataclasses import dataclass, replace

from services.common.erased import user_hash
from services.orchestrator.clients import UserFeatures
from services.orchestrator.seen import SeenItems

MOST_SEEN = 20_000_000
"""Seen items that are remembered over all users; 12 bytes each of those that a release holds."""


@dataclass(frozen=True)
class KnownUser:
    """A user as of one answer; the seen items are kept apart from the features."""

    features: UserFeatures
    seen: SeenItems


NOBODY = KnownUser(UserFeatures(), SeenItems())


class KnownUsers:
    """A bounded memory; the users who came least recently go first.

    Args:
        most: users.
        most_seen: their seen items, together.
    """

    def __init__(self, most: int, most_seen: int = MOST_SEEN) -> None:
        self._most = most
        self._most_seen = most_seen
        self._seen = 0
        self._users: OrderedDict[str, KnownUser] = OrderedDict()

    def get(self, user_id: str) -> KnownUser:
        """The user as last known; `NOBODY` for one who is not."""
        return self._users.get(user_id, NOBODY)

    def put(self, user_id: str, features: UserFeatures, seen: SeenItems) -> None:
        """Remembers a user."""
        self._drop(user_id)
        features = replace(features, seen_item_ids=(), seen_is_increment=False)
        self._users[user_id] = KnownUser(features, seen)
        self._seen += len(seen)
        while len(self._users) > self._most or self._seen > self._most_seen:
            self._drop(next(iter(self._users)))

    def forget(self, hashes: Set[str]) -> None:
        """Drops users, by the hashes of their ids."""
        for user_id in [user for user in self._users if user_hash(user) in hashes]:
            self._drop(user_id)

    def _drop(self, user_id: str) -> None:
        known = self._users.pop(user_id, NOBODY)
        self._seen -= len(known.seen)
