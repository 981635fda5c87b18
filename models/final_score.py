"""The final score: the towers' logit plus what the other sources know, weighed by what was learnt.

    score(u, i) = sum over parts p of w_p f_p(u, i),    w_p >= 0

The weights are those of a conditional logit model (McFadden 1974) of which item comes next, fitted
on held-out events; see `training.blend`. No part looks at other candidates, so offline and live
scores are the same numbers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.evidence import Evidence, EvidenceConfig, EvidenceTables, Known, evidence_parts
from models.features import HistoryBatch
from models.head import Head, ObjectiveError
from models.history import UserHistory
from models.matrix_factorization import FactorizationConfig, FoldIn
from models.neighbours import Neighbours
from models.release import Release, ReleaseError
from models.scorer import PRIOR_COLUMN, TowerScorer, TwoTowerScorer
from models.tastes import Tastes

TOWERS = "towers"
"""Name of the towers' own part."""

DEFAULT_WEIGHTS: Mapping[str, float] = {
    TOWERS: 0.4,
    "transitions": 0.5,
    "ease": 0.7,
    "factors": 3.0,
    "popularity": 0.1,
    "genres": 6.0,
    "trend": 0.1,
    "trend_here": 0.1,
    "friends": 0.2,
    "newcomers": 2.0,
}
"""What a log too small to learn them is served with; near what several logs taught."""


class FinalScorer:
    """Scores candidates by all parts.

    Args:
        towers: the two towers.
        evidence: the other parts.
        weights: by part; one without a weight does not count, and is not computed.
        head: turns scores into predictions; None leaves them as they are.
    """

    def __init__(
        self,
        towers: TowerScorer,
        evidence: Sequence[Evidence],
        weights: Mapping[str, float],
        head: Head | None = None,
    ) -> None:
        self.head = head
        self.towers = towers
        self.weights = dict(weights)
        self.evidence = [part for part in evidence if weights.get(part.name)]

    @property
    def names(self) -> list[str]:
        """Names of the parts that count, the towers' first."""
        return [TOWERS, *(part.name for part in self.evidence)]

    def parts(self, user: UserHistory, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """(p, r) float32 parts of the scores of r item rows, weighed, as `names`."""
        known = Known.of(user, self.towers.model.schema.history_length)
        return self.weigh(self.towers.score(user, rows), known, rows)

    def weigh(
        self, logits: NDArray[np.float32], known: Known, rows: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """(p, r) parts, given the towers' (r,) logits and what is known of the user."""
        parts = np.empty((1 + len(self.evidence), len(rows)), np.float32)
        parts[0] = logits * self.weights[TOWERS]
        for at, part in enumerate(self.evidence, start=1):
            parts[at] = part.score(known, rows) * self.weights[part.name]
        return parts

    def predict(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """(r,) float32 what scores mean: the probability of a click, or a utility."""
        return scores if self.head is None else self.head.predict(scores)

    def score(self, user: UserHistory, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """(r,) float32 scores of item rows; larger is better."""
        scores: NDArray[np.float32] = self.parts(user, rows).sum(axis=0)
        return scores

    def across(self, histories: HistoryBatch, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """(b, r) float32 scores of item rows, as `score`, for b histories of one user at one
        moment: what goes on around the user is taken from the first."""
        scores = self.towers.scores(histories, rows) * self.weights[TOWERS]
        tastes, around = Tastes(histories.rows), histories.around_of(0)
        for part in self.evidence:
            scores += part.scores(tastes, around, rows) * self.weights[part.name]
        return scores

    def catalogue(self, histories: HistoryBatch) -> NDArray[np.float32]:
        """(b, n) scores of the whole catalogue for b histories of taste, newest first."""
        scores: NDArray[np.float32] = self.catalogue_parts(histories).sum(axis=1)
        return scores

    def catalogue_parts(self, histories: HistoryBatch) -> NDArray[np.float32]:
        """(b, p, n) parts of the scores of the whole catalogue, weighed, as `names`."""
        logits = self.towers.user_vectors(histories) @ self.towers.item_vectors.T
        rows = np.arange(logits.shape[1], dtype=np.int32)
        parts = np.empty((len(logits), len(self.names), len(rows)), np.float32)
        for at, taste in enumerate(histories.rows):
            known = Known(taste[taste >= 0], histories.around_of(at))
            parts[at] = self.weigh(logits[at], known, rows)
        return parts


def release_scorer(release: Release) -> FinalScorer:
    """The final scorer of a release; the towers alone in one without weights.

    Raises:
        ReleaseError: a part is missing or damaged.
    """
    weights, raw = release.manifest.weights, release.manifest.head
    try:
        towers = TwoTowerScorer(release)
        head = Head.from_dict(raw) if raw else None
        if not weights:
            return FinalScorer(towers, [], {TOWERS: 1.0}, head)
        factorization = FactorizationConfig(**release.manifest.config["factorization"])
        config = EvidenceConfig(**release.manifest.config["evidence"])
        tables = EvidenceTables(
            transitions=Neighbours(release.transition_rows, release.transition_scores),
            ease=Neighbours(release.ease_rows, release.ease_scores),
            factors=release.item_factors,
            fold_in=FoldIn(release.item_factors, factorization),
            genres=release.genre_vectors,
            popularity=towers.item_vectors[:, PRIOR_COLUMN],
        )
        return FinalScorer(towers, evidence_parts(tables, config), weights, head)
    except (OSError, KeyError, TypeError, ValueError, ObjectiveError) as error:
        raise ReleaseError(f"{release.path}: parts of the final score: {error}") from None
