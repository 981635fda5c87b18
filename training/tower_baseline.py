"""The two towers alone, in the shape in which `evaluate.py` compares models."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.release import Items
from models.scorer import TowerScorer
from training.config import TrainingConfig
from training.sequences import EventSequences
from training.splits import Queries
from training.trend import choose_half_life
from training.two_tower import catalogue_scores, fit_towers


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
        return FittedTowers(fit_towers(events, self.items, self.config, half_life).scorer)


@dataclass(frozen=True)
class FittedTowers:
    """Trained towers."""

    scorer: TowerScorer

    def score(self, queries: Queries) -> NDArray[np.float32]:
        return catalogue_scores(self.scorer, queries)
