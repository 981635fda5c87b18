"""Tandem's own models in the shape in which `evaluate.py` compares methods."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.diversity import mmr, pool_size
from models.final_score import FinalScorer
from models.release import Items
from models.scorer import TowerScorer
from training import blend, two_tower
from training.config import TrainingConfig
from training.final_model import FinalFit, fit_final
from training.friends import Friends
from training.metrics import TOP
from training.sequences import EventSequences
from training.splits import Queries
from training.surroundings import Around
from training.trend import choose_half_life


@dataclass
class SharedFit:
    """Trains on a fold once, for all models that come out of one training run.

    Attributes:
        items: the catalogue.
        config: training settings.
        friends: of the log's users; None for none.
    """

    items: Items
    config: TrainingConfig = field(default_factory=TrainingConfig)
    friends: Friends | None = None
    _log: EventSequences | None = None
    _fit: FinalFit | None = None

    def of(self, log: EventSequences) -> FinalFit:
        if self._fit is None or self._log is not log:
            config = self.config.for_events(len(log))
            half_life = choose_half_life(log, len(self.items))
            self._fit = fit_final(
                log, self.items, config, half_life, lambda *_: None, friends=self.friends
            )
            self._log = log
        return self._fit


@dataclass(frozen=True)
class TwoTowerModel:
    """The two towers alone."""

    shared: SharedFit

    def __str__(self) -> str:
        return "TwoTowerModel()"

    def fit(self, events: EventSequences, n_items: int) -> "FittedTowers":
        return FittedTowers(self.shared.of(events).scorer.towers)


@dataclass(frozen=True)
class FittedTowers:
    """Trained towers."""

    scorer: TowerScorer

    def score(self, queries: Queries) -> NDArray[np.float32]:
        return two_tower.catalogue_scores(self.scorer, queries)


@dataclass(frozen=True)
class TandemModel:
    """What is served: the final score, and a first ten made diverse as in serving.

    Attributes:
        shared: training run.
        diversity: weight of diversity; the orchestrator's default.
    """

    shared: SharedFit
    diversity: float

    def __str__(self) -> str:
        return f"TandemModel(diversity={self.diversity})"

    def fit(self, events: EventSequences, n_items: int) -> "FittedTandem":
        fit = self.shared.of(events)
        return FittedTandem(fit.scorer, self.diversity, fit.around)


@dataclass(frozen=True)
class FittedTandem:
    """The final score.

    Attributes:
        scorer: of the log's events.
        diversity: as in `TandemModel`.
        around: finds what goes on around users; None leaves them as the queries have them.
    """

    scorer: FinalScorer
    diversity: float
    around: Around | None = None

    def score(self, queries: Queries) -> NDArray[np.float32]:
        if self.around is not None:
            queries = self.around.of(queries)
        scores = blend.catalogue_scores(self.scorer, queries)
        if self.diversity:
            for at, row in enumerate(scores):
                self._diversify(row, queries.seen(at))
        return scores

    def _diversify(self, scores: NDArray[np.float32], seen: NDArray[np.int32]) -> None:
        """Lifts the slate, in its order, above all others. Changes `scores`."""
        unseen = scores.copy()
        unseen[seen] = -np.inf
        width = min(pool_size(TOP), len(scores) - len(np.unique(seen)))
        pool = np.argpartition(-unseen, width - 1)[:width]
        pool = pool[np.argsort(-unseen[pool], kind="stable")]
        taken = mmr(scores[pool], self.scorer.towers.item_vectors[pool], self.diversity, TOP)
        scores[pool[taken]] = scores.max() + 1 + np.arange(len(taken), 0, -1)
