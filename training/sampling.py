"""Which items serve as negatives."""

import numpy as np
from numpy.typing import NDArray

from training.sequences import EventSequences

NEGATIVES_A_POSITIVE = 4
"""Of the heads' objectives; the softmax has its own number."""


def mixed_distribution(log: EventSequences) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Half uniform, half by the square root of popularity.

    Returns:
        (k,) rows of items with an event, ascending, and their (k,) chances.
    """
    rows, counts = np.unique(log.rows, return_counts=True)
    roots = np.sqrt(counts)
    chances: NDArray[np.float64] = 0.5 / max(len(rows), 1) + 0.5 * roots / max(roots.sum(), 1)
    return rows.astype(np.int64), chances
