"""What friends lately liked: the one definition, for live events and for the log of training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.popularity import SECONDS_A_DAY

MOST_FRIENDS = 50
"""Friends that are looked at: the first ones in the user table."""

EVENTS_A_FRIEND = 10
"""Latest events of each friend that count, of kinds that are not negative."""

MOST_ITEMS = 200

_HALF_LIFE_SECONDS = 7 * SECONDS_A_DAY
_DECAY = 0.7

K = TypeVar("K", str, int)


@dataclass(frozen=True)
class FriendsEvents(Generic[K]):
    """The latest events of some friends, as parallel sequences: friend after friend, the newest of
    each first, at most `EVENTS_A_FRIEND` of each.

    Attributes:
        friends: (e,) int64 which friend.
        items: e keys.
        times: (e,) float64 Unix seconds.
    """

    friends: NDArray[np.int64]
    items: Sequence[K]
    times: NDArray[np.float64]


def friends_items(events: FriendsEvents[K]) -> tuple[list[K], NDArray[np.float32]]:
    """Items by how much friends lately did with them.

    A friend's newest event counts one, each one before it .7 of the one after, and all of them half
    for every week that they are older than the newest event of any friend. So an item that two
    friends just liked counts two, and in a log that ended years ago the last weeks count as ever.

    Returns:
        Keys of at most `MOST_ITEMS` items and their (n,) float32 weights > 0, largest first.
    """
    totals: dict[K, float] = {}
    if len(events.items):
        first = np.searchsorted(events.friends, events.friends)
        places = np.arange(len(first)) - first
        ages = events.times.max() - events.times
        weights = _DECAY**places * np.exp2(-ages / _HALF_LIFE_SECONDS)
        for item, weight in zip(events.items, weights.tolist(), strict=True):
            totals[item] = totals.get(item, 0.0) + weight
    ranked = sorted((-total, item) for item, total in totals.items() if total > 0)[:MOST_ITEMS]
    return [item for _, item in ranked], np.array([-total for total, _ in ranked], np.float32)
