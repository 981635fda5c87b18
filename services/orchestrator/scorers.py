"""Scorers: the ranking service's final score."""

from services.orchestrator.candidates import Candidates, Query
from services.orchestrator.clients import RankingClient
from services.orchestrator.pipeline import Level, Scored


class RankingScorer:
    """One call to the ranking service scores all candidates; without it, retrieval order stays."""

    level_when_lost = Level.UNRANKED

    def __init__(self, ranking: RankingClient) -> None:
        self._ranking = ranking

    async def score(self, query: Query, candidates: Candidates) -> Scored:
        assert query.user is not None
        return await self._ranking.rank(
            query.release.release_id,
            query.user,
            candidates.rows,
            query.budget.share(0.7, at_most=1.0),
            explain=query.explain,
        )
