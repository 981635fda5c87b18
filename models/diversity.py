"""Diversity of a slate: maximal marginal relevance."""

import numpy as np
from numpy.typing import NDArray

DEFAULT_WEIGHT = 0.05
"""What slates are made with unless configured otherwise."""

_POOL_FACTOR = 4
_SMALLEST_POOL = 50


def mmr(
    scores: NDArray[np.float32], vectors: NDArray[np.float32], weight: float, count: int
) -> NDArray[np.int32]:
    """Chooses by maximal marginal relevance (Carbonell and Goldstein, 1998).

    Greedily takes the candidate with the largest `(1 - w) * relevance - w * max cosine to those
    already taken`, among the first `pool_size(count)`. Relevance is the score, scaled to 0..1 over
    that pool.

    Args:
        scores: (n,) scores, not increasing.
        vectors: (p, d) vectors of the first p = min(n, pool_size(count)) candidates.
        weight: w, 0 (the order as it is) to 1.
        count: candidates wanted.

    Returns:
        (min(count, n),) int32 positions, in the order taken.
    """
    count = min(count, len(scores))
    if weight == 0 or count < 2:
        return np.arange(count, dtype=np.int32)
    relevance = _unit_scale(scores[: len(vectors)]) * (1 - weight)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    taken = np.empty(count, dtype=np.int32)
    nearest = np.zeros(len(vectors), dtype=np.float32)
    for place in range(count):
        best = int(np.argmax(relevance - weight * nearest))
        taken[place] = best
        relevance[best] = -np.inf
        nearest = np.maximum(nearest, unit @ unit[best])
    return taken


def pool_size(count: int) -> int:
    """Candidates that a slate of `count` is chosen from."""
    return max(_POOL_FACTOR * count, _SMALLEST_POOL)


def _unit_scale(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales scores to 0..1; infinite ones go to the ends."""
    finite = scores[np.isfinite(scores)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    scaled: NDArray[np.float32] = np.clip((scores - low) / max(high - low, 1e-12), 0, 1)
    return scaled.astype(np.float32)
