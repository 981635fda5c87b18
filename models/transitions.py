"""Which item follows which: directed, decayed transition counts, and their low-rank form.

`transition_counts` also serves as a scorer by itself; its truncated SVD is where the two towers
start from.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array

from models.truncated_svd import truncated_svd

_SMOOTHING = 5.0


@dataclass(frozen=True)
class TransitionFactors:
    """Two tables whose inner product approximates the square root of transition probability.

    Attributes:
        context: (n, d) float32, the item as one that was seen.
        target: (n, d) float32, the item as one that comes next.
    """

    context: NDArray[np.float32]
    target: NDArray[np.float32]


def transition_counts(
    rows: NDArray[np.int32],
    offsets: NDArray[np.int64],
    n_items: int,
    *,
    lags: int = 10,
    decay: float = 0.8,
) -> csr_array:
    """Counts how often item j comes 1 to `lags` events after item i, decay ** (lag - 1) each.

    Args:
        rows: (e,) item rows, user after user, oldest first.
        offsets: (users + 1,) where each user's events begin.
        n_items: number of items.
        lags: farthest distance, in events.
        decay: weight ratio of one more event of distance.

    Returns:
        (n, n) float32; no self-transitions.
    """
    user = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    total = csr_array((n_items, n_items), dtype=np.float32)
    for lag in range(1, min(lags, len(rows) - 1) + 1):
        source, target = rows[:-lag], rows[lag:]
        valid = (user[:-lag] == user[lag:]) & (source != target)
        weights = np.full(int(valid.sum()), decay ** (lag - 1), dtype=np.float32)
        pairs = coo_array((weights, (source[valid], target[valid])), shape=(n_items, n_items))
        total = total + pairs.tocsr()
    return total  # type: ignore[return-value]  # the stubs lose the shape of a sum


def transition_probabilities(counts: csr_array) -> csr_array:
    """Rows of counts divided by their sums plus five, (n, n) float32: rare items are unsure."""
    sums = np.asarray(counts.sum(axis=1)).ravel() + _SMOOTHING
    return csr_array(diags_array((1 / sums).astype(np.float32)) @ counts)


def transition_affinity(counts: csr_array) -> csr_array:
    """Element-wise square root of `transition_probabilities`, (n, n) float32."""
    affinity = transition_probabilities(counts)
    affinity.data = np.sqrt(affinity.data)
    return affinity


def factorize(affinity: csr_array, dimensions: int, seed: int) -> TransitionFactors:
    """Truncated SVD with the singular values split evenly over both sides.

    Dimensions beyond the rank stay zero.
    """
    return TransitionFactors(*truncated_svd(affinity, dimensions, seed).split(dimensions))
