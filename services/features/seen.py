"""Items that users have seen, cached: histories are unbounded, and every request needs its one."""

from collections import OrderedDict
from collections.abc import Iterable


class SeenItems:
    """A cache of complete sets by user and version; the least recently used go first.

    Args:
        capacity: item ids held over all users.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._users: OrderedDict[str, tuple[int, set[str]]] = OrderedDict()

    def get(self, user_id: str, version: int) -> set[str] | None:
        """The user's set if it is cached at this very version. Not to be changed."""
        cached = self._users.get(user_id)
        if cached is None or cached[0] != version:
            return None
        self._users.move_to_end(user_id)
        return cached[1]

    def put(self, user_id: str, version: int, item_ids: set[str]) -> None:
        """Caches the set that the user has at a version."""
        self.forget(user_id)
        self._users[user_id] = (version, item_ids)
        self._size += len(item_ids)
        while self._size > self._capacity:
            self.forget(next(iter(self._users)))

    def grow(self, user_id: str, version: int, item_ids: Iterable[str]) -> None:
        """Adds all that the step to `version` added; forgets a set that missed a step."""
        cached = self._users.get(user_id)
        if cached is None:
            return
        if cached[0] == version - 1:
            self.put(user_id, version, cached[1].union(item_ids))
        elif cached[0] < version:
            self.forget(user_id)

    def forget(self, user_id: str) -> None:
        """Drops a user's set."""
        _, item_ids = self._users.pop(user_id, (0, set[str]()))
        self._size -= len(item_ids)
