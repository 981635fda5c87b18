"""Selectors: from ranked candidates to the slate."""

from models.diversity import MMR, Composition, compose
from services.orchestrator.candidates import Candidates, Query, Rows


class MmrSelector:
    """Maximal marginal relevance over tower-space item vectors; see `models.diversity`."""

    def __init__(self, weight: float) -> None:
        self._composition = Composition(MMR, weight)

    def select(self, query: Query, candidates: Candidates) -> Rows:
        return compose(
            candidates.scores,
            lambda positions: query.catalogue.vectors(candidates.rows[positions]),
            query.count,
            self._composition,
        ).positions
