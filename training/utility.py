"""From events to one number a user and item: the composite utility."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from models.events import NEGATIVE, EventKind


def _default_weights() -> dict[EventKind, float]:
    return {
        EventKind.LIKE: 2.0,
        EventKind.COMMENT: 2.0,
        EventKind.SHARE: 5.0,
        EventKind.FORWARD: 5.0,
        EventKind.SAVE: 2.0,
        EventKind.CLICK: 1.0,
        EventKind.VIEW: 0.5,
    }


@dataclass(frozen=True)
class UtilityWeights:
    """`hours watched + rating + 2 likes + 5 shares + 2 comments`, and what the other kinds add.

    Attributes:
        counted: what one event of a kind adds. Forwards count as shares, saves as likes; a click
            and a view are faint signs.
        largest: the sum is clipped to 0..largest.
    """

    counted: dict[EventKind, float] = field(default_factory=_default_weights)
    largest: float = 15.0


def composite_utility(
    users: "np.ndarray",
    items: "np.ndarray",
    events: pd.DataFrame,
    shape: tuple[int, int],
    weights: UtilityWeights | None = None,
) -> csr_array:
    """The utility matrix.

    Ratings are states: of several by one user for one item the last counts. All else adds up.
    Dislikes and hides take away what they would otherwise leave: the item's utility is zero.

    Args:
        users, items: (e,) rows of each event's user and item.
        events: columns `kind` and `value`; in order of time.
        shape: (number of users, number of items).
        weights: what each kind adds.

    Returns:
        `shape` float32, values in 0..largest; pairs without positive utility are not stored.
    """
    weights = weights or UtilityWeights()
    kinds = events["kind"].to_numpy()
    values = events["value"].to_numpy(dtype=np.float32)
    pairs = users.astype(np.int64) * shape[1] + items
    added = np.zeros(len(events), np.float32)
    for kind, weight in weights.counted.items():
        added[kinds == kind] = weight
    watched = kinds == EventKind.WATCH
    added[watched] = values[watched]
    rated = np.flatnonzero(kinds == EventKind.RATING)
    _, last = np.unique(pairs[rated][::-1], return_index=True)
    latest = rated[::-1][last]
    added[latest] = values[latest]
    unique, inverse = np.unique(pairs, return_inverse=True)
    total = np.bincount(inverse, weights=added, minlength=len(unique))
    refused = np.unique(pairs[np.isin(kinds, [int(kind) for kind in NEGATIVE])])
    total[np.isin(unique, refused)] = 0.0
    total = np.clip(total, 0.0, weights.largest).astype(np.float32)
    kept = total > 0
    rows, columns = np.divmod(unique[kept], shape[1])
    return csr_array((total[kept], (rows, columns)), shape=shape)
