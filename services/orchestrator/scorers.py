"""Scorers: the ranking service's two towers, and what a few clicks say about genres."""

import numpy as np

from models.events import NEGATIVE
from models.history import UserHistory
from services.orchestrator.candidates import Candidates, Query, Rows, Scores
from services.orchestrator.clients import RankingClient
from services.orchestrator.pipeline import Level

_FEW_EVENTS = 5


class TwoTowerScorer:
    """One call to the ranking service scores all candidates; without it, retrieval order stays."""

    level_when_lost = Level.UNRANKED

    def __init__(self, ranking: RankingClient) -> None:
        self._ranking = ranking

    async def score(self, query: Query, candidates: Candidates) -> Scores:
        assert query.user is not None
        return await self._ranking.rank(
            query.release.release_id,
            query.user,
            candidates.rows,
            query.budget.share(0.7, at_most=1.0),
        )


class GenreAffinityScorer:
    """Adds what a short history says about genres.

    A few events tell the towers little: which items, but not what about them. So for a user with h
    liked events each score gains `weight / (1 + (h / 5)^2)` standard deviations of the candidates'
    scores times the cosine of the item's genres with the genres that the history holds more of than
    the catalogue does. At five events half of the weight counts; at fifty, one hundredth.
    """

    level_when_lost = Level.FULL

    def __init__(self, weight: float) -> None:
        self._weight = weight

    async def score(self, query: Query, candidates: Candidates) -> Scores:
        rows = _liked_rows(query.user)
        genres = query.release.genre_vectors
        if not self._weight or not len(rows) or not genres.shape[1]:
            return candidates.scores
        taste = genres[rows].mean(axis=0) - genres.mean(axis=0)
        affinity = genres[candidates.rows] @ (taste / max(float(np.linalg.norm(taste)), 1e-12))
        weight = self._weight / (1 + (len(rows) / _FEW_EVENTS) ** 2)
        known = candidates.scores[np.isfinite(candidates.scores)]
        spread = float(known.std()) if len(known) else 0.0
        scores: Scores = (candidates.scores + weight * spread * affinity).astype(np.float32)
        return scores


def _liked_rows(user: UserHistory | None) -> Rows:
    if user is None:
        return np.empty(0, np.int32)
    return user.rows[~np.isin(user.kinds, [int(kind) for kind in NEGATIVE])]
