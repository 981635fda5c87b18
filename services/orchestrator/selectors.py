"""Selectors: from ranked candidates to the slate."""

from models.diversity import mmr, pool_size
from services.orchestrator.candidates import Candidates, Query, Rows


class MmrSelector:
    """Maximal marginal relevance over tower-space item vectors; see `models.diversity`."""

    def __init__(self, weight: float) -> None:
        self._weight = weight

    def select(self, query: Query, candidates: Candidates) -> Rows:
        pool = candidates.rows[: pool_size(query.count)]
        vectors = query.catalogue.vectors(pool)
        return mmr(candidates.scores, vectors, self._weight, query.count)
