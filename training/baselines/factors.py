"""Matrix factorizations of who had what."""

import math
from dataclasses import dataclass, field

import numpy as np

from models.bpr import BprConfig, BprFactors, fit_bpr
from models.matrix_factorization import FactorizationConfig, FoldIn, factorize
from training.baselines.histories import binary, recency_weights
from training.baselines.method import Matrix
from training.baselines.popularity import popularity_of
from training.sequences import EventSequences
from training.splits import Queries


@dataclass(frozen=True)
class ImplicitFactors:
    """Implicit matrix factorization; users are folded in from the history at the query.

    Attributes:
        dimensions: length of a vector.
        unobserved: weight of a pair without an event.
        half_life: items after which an item of the history counts half; infinite counts all alike.
    """

    dimensions: int = 32
    unobserved: float = 0.05
    half_life: float = math.inf

    def fit(self, events: EventSequences, n_items: int) -> "_FoldedIn":
        config = FactorizationConfig(dimensions=self.dimensions, unobserved_weight=self.unobserved)
        items = factorize(binary(events, n_items), config).items
        return _FoldedIn(items, FoldIn(items, config), self.half_life)


@dataclass(frozen=True)
class _FoldedIn:
    items: Matrix
    fold_in: FoldIn
    half_life: float

    def score(self, queries: Queries) -> Matrix:
        weights = recency_weights(queries, len(self.items), self.half_life)
        users = np.zeros((len(queries), self.items.shape[1]), np.float32)
        for at in range(len(queries)):
            part = slice(weights.indptr[at], weights.indptr[at + 1])
            if part.start < part.stop:
                users[at] = self.fold_in.user_vector(weights.indices[part], weights.data[part])
        scores: Matrix = users @ self.items.T
        return scores


@dataclass(frozen=True)
class PairwiseRanking:
    """BPR; see `models.bpr`. Users without a training event have no vector and get the popular."""

    config: BprConfig = field(default_factory=BprConfig)

    def fit(self, events: EventSequences, n_items: int) -> "_Vectors":
        matrix = binary(events, n_items)
        known = np.diff(matrix.indptr) > 0
        return _Vectors(fit_bpr(matrix, self.config), known, popularity_of(events, n_items))


@dataclass(frozen=True)
class _Vectors:
    factors: BprFactors
    known: np.ndarray[tuple[int], np.dtype[np.bool_]]
    popularity: Matrix

    def score(self, queries: Queries) -> Matrix:
        users = queries.users
        known = self.known[users][:, None]
        return np.where(known, self.factors.score(users), self.popularity)
