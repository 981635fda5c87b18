"""Matrix factorizations of who had what."""

import math
from dataclasses import dataclass, field

import numpy as np

from models.bpr import BprConfig, BprFactors, fit_bpr
from models.least_squares import solve_rows
from models.matrix_factorization import FactorizationConfig, fit_ials
from training.baselines.histories import binary, recency_weights
from training.baselines.method import Matrix
from training.baselines.popularity import popularity_of
from training.sequences import EventSequences
from training.splits import Queries

_SWEEPS = 10


@dataclass(frozen=True)
class ImplicitFactors:
    """Implicit alternating least squares; users are folded in from the history at the query.

    Attributes:
        dimensions: length of a vector.
        unobserved: alpha, weight of a pair without an event.
        regularization: lambda, multiplied by how often a user or an item occurs (nu = 1).
        half_life: items after which an item of the history counts half; infinite counts all alike.
    """

    dimensions: int = 32
    unobserved: float = 0.1
    regularization: float = 0.01
    half_life: float = math.inf

    def fit(self, events: EventSequences, n_items: int) -> "_FoldedIn":
        config = FactorizationConfig(
            dimensions=self.dimensions,
            steps=_SWEEPS,
            unobserved_weight=self.unobserved,
            utility_weight=0.0,
            regularization=self.regularization,
            frequency_exponent=1.0,
        )
        items = fit_ials(binary(events, n_items), config).items
        return _FoldedIn(items, config, self.half_life)


@dataclass(frozen=True)
class _FoldedIn:
    items: Matrix
    config: FactorizationConfig
    half_life: float

    def score(self, queries: Queries) -> Matrix:
        weights = recency_weights(queries, len(self.items), self.half_life)
        sums = np.asarray(weights.sum(axis=1)).ravel()
        users = solve_rows(
            weights,
            self.items,
            unobserved_weight=self.config.unobserved_weight,
            penalties=self.config.penalties(sums, len(self.items)),
        )
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
