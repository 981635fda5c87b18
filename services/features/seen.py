"""Items that users have seen, cached: histories are unbounded, and every request needs its one.

A set belongs to a version of its user's events. Whoever holds the set of a version needs only the
steps after it, as long as each of them added events, and none took any away.
"""

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

MOST_STEPS = 256
"""Steps of a user that are kept: who missed more of them is given all."""


def kinds_mask(kinds: Iterable[int]) -> int:
    """Bit `1 << kind` of each kind."""
    mask = 0
    for kind in kinds:
        mask |= 1 << kind
    return mask


ANY_KIND = -1  # all bits


@dataclass(frozen=True)
class SeenWanted:
    """What is asked for.

    Attributes:
        kinds: mask of the kinds of events that make an item a seen one.
        since: the version whose set, by the same kinds, is known already; 0 for none.
    """

    kinds: int = ANY_KIND
    since: int = 0


ALL_SEEN = SeenWanted()


@dataclass(frozen=True)
class Seen:
    """Seen items, without order.

    Attributes:
        item_ids: all of them, or some that were known before and all that were not.
        is_increment: whether it is the latter.
    """

    item_ids: Collection[str] = ()
    is_increment: bool = False


class SeenHistory:
    """What a user has seen up to a version, and the latest steps to it.

    It may hold more than its version did, never less: it is read after the version is.

    Args:
        version: of the user's events.
        kinds: by item id, the mask of the kinds of the user's events on it. Kept, and added to.
    """

    def __init__(self, version: int, kinds: dict[str, int]) -> None:
        self.version = version
        self.size = len(kinds)
        self._kinds = kinds
        self._steps: deque[Mapping[str, int]] = deque()

    def grow(self, kinds: Mapping[str, int]) -> None:
        """Takes the step to the next version, which added events of these kinds on these items."""
        held = self._kinds
        for item_id, mask in kinds.items():
            held[item_id] = held.get(item_id, 0) | mask
        # All of it, though some may be held already: others may hold the set of before.
        self._steps.append(kinds)
        if len(self._steps) > MOST_STEPS:
            self._steps.popleft()
        self.size = len(held) + sum(map(len, self._steps))
        self.version += 1

    def answer(self, wanted: SeenWanted) -> Seen:
        """What was added since the version that is known, or all when the steps to it are not."""
        missed = self.version - wanted.since
        if wanted.since and 0 <= missed <= len(self._steps):
            steps = (self._steps[place] for place in range(-missed, 0))
            added = {
                item_id for step in steps for item_id, mask in step.items() if mask & wanted.kinds
            }
            return Seen(added, is_increment=True)
        if wanted.kinds == ANY_KIND:
            return Seen(list(self._kinds))
        return Seen([item_id for item_id, mask in self._kinds.items() if mask & wanted.kinds])


class SeenItems:
    """A cache of complete histories by user; the least recently used go first.

    Args:
        capacity: item ids held over all users.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._users: OrderedDict[str, SeenHistory] = OrderedDict()

    def get(self, user_id: str, version: int) -> SeenHistory | None:
        """The user's history if it is cached at this version or a later one."""
        cached = self._users.get(user_id)
        if cached is None or cached.version < version:
            return None
        self._users.move_to_end(user_id)
        return cached

    def put(self, user_id: str, history: SeenHistory) -> None:
        """Caches a history, unless one of the same version or a later one is there already."""
        if self.get(user_id, history.version) is None:
            self.forget(user_id)
            self._users[user_id] = history
            self._size += history.size
            self._shrink()

    def grow(self, user_id: str, version: int, kinds: Mapping[str, int]) -> None:
        """Adds all that the step to `version` added; forgets a history that missed a step."""
        cached = self._users.get(user_id)
        if cached is None or cached.version >= version:
            return
        if cached.version < version - 1:
            return self.forget(user_id)
        self._users.move_to_end(user_id)
        self._size -= cached.size
        cached.grow(kinds)
        self._size += cached.size
        self._shrink()

    def forget(self, user_id: str) -> None:
        """Drops a user's history."""
        cached = self._users.pop(user_id, None)
        if cached is not None:
            self._size -= cached.size

    def _shrink(self) -> None:
        while self._size > self._capacity:
            self.forget(next(iter(self._users)))
