"""Selectors: from ranked candidates to the slate."""

import numpy as np

from models.diversity import mmr, pool_size
from services.orchestrator.candidates import Candidates, Query, Rows


class MmrSelector:
    """Maximal marginal relevance over tower-space item vectors; see `models.diversity`."""

    def __init__(self, weight: float) -> None:
        self._weight = weight

    def select(self, query: Query, candidates: Candidates) -> Rows:
        pool = candidates.rows[: pool_size(query.count)]
        vectors = np.asarray(query.release.item_vectors[pool], dtype=np.float32)
        return mmr(candidates.scores, vectors, self._weight, query.count)
