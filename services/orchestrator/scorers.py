"""Scorers: the ranking service's final score, and what rules add to it."""

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.candidates import BOOST, PART, Candidates, Query
from services.orchestrator.clients import RankingClient
from services.orchestrator.pipeline import Level, Scored
from services.orchestrator.rules import Boost


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


class BoostScorer:
    """Adds to scores what `boost` says, in standard deviations of the candidates' finite scores.

    What scores predict stays as it is: a boost moves an item, and does not make it likelier.
    """

    level_when_lost = Level.FULL

    async def score(self, query: Query, candidates: Candidates) -> Scored:
        boosts = [boost for boost in query.rules.boost if boost.holds_at(query.time)]
        if not boosts:
            return Scored(candidates.scores)
        finite = candidates.scores[np.isfinite(candidates.scores)]
        unit = float(finite.std()) if len(finite) else 0.0
        added = np.zeros(len(candidates), np.float32)
        for boost in boosts:
            added += _matches(boost, query, candidates) * np.float32(boost.by * (unit or 1.0))
        columns = {BOOST: added, PART + BOOST: added} if query.explain else {BOOST: added}
        return Scored(candidates.scores + added, columns)


def _matches(boost: Boost, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
    rows, matching = candidates.rows, np.ones(len(candidates), np.bool_)
    if boost.genres:
        matching &= query.catalogue.genres.any_of(boost.genres, rows)
    if boost.items:
        matching &= np.isin(rows, query.catalogue.items.rows(list(boost.items)))
    if boost.creators:
        matching &= query.catalogue.creators.any_of(boost.creators, rows)
    if boost.sources:
        matching &= np.any([candidates.found_by(name) for name in boost.sources], axis=0)
    return matching
