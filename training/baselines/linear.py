"""Linear autoencoders."""

import math
from dataclasses import dataclass

from models.ease import Ease, fit_ease
from training.baselines.histories import binary, recency_weights
from training.baselines.method import Matrix
from training.sequences import EventSequences
from training.splits import Queries


@dataclass(frozen=True)
class LinearAutoencoder:
    """EASE; see `models.ease`.

    Attributes:
        regularization: lambda.
        half_life: items after which an item of the history counts half; infinite counts all alike.
    """

    regularization: float = 200.0
    half_life: float = math.inf

    def fit(self, events: EventSequences, n_items: int) -> "_Fitted":
        ease = fit_ease(binary(events, n_items), self.regularization)
        return _Fitted(ease, n_items, self.half_life)


@dataclass(frozen=True)
class _Fitted:
    ease: Ease
    n_items: int
    half_life: float

    def score(self, queries: Queries) -> Matrix:
        return self.ease.score(recency_weights(queries, self.n_items, self.half_life))
