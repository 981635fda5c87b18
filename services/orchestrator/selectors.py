"""Selectors: from ranked candidates to the slate."""

import numpy as np

from services.orchestrator.candidates import Candidates, Query, Rows, Scores

_POOL_FACTOR = 4
_SMALLEST_POOL = 50


class MmrSelector:
    """Maximal marginal relevance (Carbonell and Goldstein, 1998).

    Greedily takes the candidate with the largest `(1 - w) * relevance - w * max cosine to those
    already taken`, among the best `4 * count`. Relevance is the score, scaled to 0..1 over that
    pool; the cosine is that of the tower-space item vectors.
    """

    def __init__(self, weight: float) -> None:
        self._weight = weight

    def select(self, query: Query, candidates: Candidates) -> Rows:
        count = min(query.count, len(candidates))
        if self._weight == 0 or count < 2:
            return np.arange(count, dtype=np.int32)
        pool = min(len(candidates), max(_POOL_FACTOR * count, _SMALLEST_POOL))
        relevance = _unit_scale(candidates.scores[:pool]) * (1 - self._weight)
        vectors = np.asarray(query.release.item_vectors[candidates.rows[:pool]], dtype=np.float32)
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        taken = np.empty(count, dtype=np.int32)
        nearest = np.zeros(pool, dtype=np.float32)
        for place in range(count):
            best = int(np.argmax(relevance - self._weight * nearest))
            taken[place] = best
            relevance[best] = -np.inf
            nearest = np.maximum(nearest, vectors @ vectors[best])
        return taken


def _unit_scale(scores: Scores) -> Scores:
    """Scales scores to 0..1; infinite ones go to the ends."""
    finite = np.isfinite(scores)
    if not finite.any():
        return np.zeros(len(scores), np.float32)
    low, high = scores[finite].min(), scores[finite].max()
    scaled: Scores = np.clip((scores - low) / max(high - low, 1e-12), 0, 1).astype(np.float32)
    return scaled
