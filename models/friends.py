"""What friends lately liked: the one definition, for live events and for the log of training."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.popularity import SECONDS_A_DAY

MOST_FRIENDS = 50
"""Friends that are looked at: the first ones in the user table."""

EVENTS_A_FRIEND = 10
"""Latest events of each friend that count, of kinds that are not negative."""

MOST_ITEMS = 200

_HALF_LIFE_SECONDS = 7 * SECONDS_A_DAY

K = TypeVar("K", str, int)


def friends_items(
    items: Sequence[K], times: NDArray[np.float64]
) -> tuple[list[K], NDArray[np.float32]]:
    """Items by how much friends lately did with them.

    An event counts half for every week that it is older than the newest of them all, so an item
    that two friends just liked counts two, and what was lately liked a year ago still counts in a
    log that ended then.

    Args:
        items: of the friends' latest events, at most `EVENTS_A_FRIEND` of each friend.
        times: (e,) Unix seconds, parallel to `items`.

    Returns:
        Keys of at most `MOST_ITEMS` items and their (n,) float32 weights > 0, largest first.
    """
    totals: dict[K, float] = {}
    if len(items):
        weights = np.exp2((times - times.max()) / _HALF_LIFE_SECONDS)
        for item, weight in zip(items, weights.tolist(), strict=True):
            totals[item] = totals.get(item, 0.0) + weight
    ranked = sorted(((-total, item) for item, total in totals.items() if total > 0))[:MOST_ITEMS]
    return [item for _, item in ranked], np.array([-total for total, _ in ranked], np.float32)
