"""The two towers alone, in the shape in which `evaluate.py` compares models."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.release import Items
from models.scorer import TowerScorer
from training.config import TrainingConfig
from training.sequences import EventSequences
from training.trend import choose_half_life
from training.two_tower import fit_towers


@dataclass(frozen=True)
class TwoTowerModel:
    """Trains on a fold; chooses its own passes on events inside it.

    Attributes:
        items: the catalogue.
        config: training settings.
    """

    items: Items
    config: TrainingConfig = field(default_factory=TrainingConfig)

    def __str__(self) -> str:
        return "TwoTowerModel()"

    def fit(self, events: EventSequences, n_items: int) -> "FittedTowers":
        half_life = choose_half_life(events, n_items)
        fit = fit_towers(events, self.items, self.config, half_life)
        return FittedTowers(fit.scorer, events.taste())


@dataclass(frozen=True)
class FittedTowers:
    """Trained towers, and the histories (events of taste) to score from."""

    scorer: TowerScorer
    taste: EventSequences

    def score(self, users: NDArray[np.int64], times: NDArray[np.float64]) -> NDArray[np.float32]:
        length = self.scorer.model.schema.history_length
        ends = self.taste.offsets[users + 1]
        histories = self.taste.histories(users, ends, times, [""] * len(users), length)
        scores: NDArray[np.float32] = (
            self.scorer.user_vectors(histories) @ self.scorer.item_vectors.T
        )
        return scores
