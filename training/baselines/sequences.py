"""Methods that look at the order of events: what came after the last items."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.transitions import (
    factorize,
    transition_affinity,
    transition_counts,
    transition_probabilities,
)
from training.baselines.histories import ItemToItem, binary, recency_weights
from training.baselines.method import Matrix
from training.baselines.neighbours import shrunk_cosine
from training.sequences import EventSequences
from training.splits import Queries

_CONTEXT = 20  # newest items of the history that transitions start from


@dataclass(frozen=True)
class LastItem:
    """Cosine similarity of all items to the newest item alone ("because you just watched").

    Attributes:
        shrink: similarities are multiplied by c / (c + shrink), c users in common.
    """

    shrink: float = 0.0

    def fit(self, events: EventSequences, n_items: int) -> "_Similar":
        matrix = binary(events, n_items)
        counts = np.bincount(matrix.indices, minlength=n_items).astype(np.int32)
        return _Similar(matrix, csr_array(matrix.T), counts, self.shrink)


@dataclass(frozen=True)
class _Similar:
    users: csr_array
    items: csr_array
    counts: NDArray[np.int32]
    shrink: float

    def score(self, queries: Queries) -> Matrix:
        newest = recency_weights(queries, self.items.shape[0], last=1)
        distinct, place = np.unique(newest.indices, return_inverse=True)
        common = (self.items[distinct] @ self.users).toarray()
        similarity = shrunk_cosine(common, self.counts[distinct], self.counts, self.shrink)
        scores = np.zeros(newest.shape, np.float32)
        scores[np.diff(newest.indptr) > 0] = similarity[place]
        return scores


@dataclass(frozen=True)
class Transitions:
    """Item-to-item transitions: what came after the last items, in this order.

    Attributes:
        lag_decay: weight ratio of a transition one event longer.
        query_decay: weight ratio of an item one further back in the history.
    """

    lag_decay: float = 0.8
    query_decay: float = 0.6

    def fit(self, events: EventSequences, n_items: int) -> ItemToItem:
        counts = _counts(events, n_items, self.lag_decay)
        return ItemToItem(transition_probabilities(counts), _half_life(self.query_decay), _CONTEXT)


@dataclass(frozen=True)
class TransitionFactors:
    """Transitions at low rank: a pooled context vector times target vectors.

    The two towers start from this; see `models.transitions`.

    Attributes:
        dimensions: rank of the truncated SVD.
        query_decay: weight ratio of an item one further back in the history.
        lag_decay: weight ratio of a transition one event longer.
    """

    dimensions: int = 128
    query_decay: float = 0.6
    lag_decay: float = 0.8

    def fit(self, events: EventSequences, n_items: int) -> "_Pooled":
        affinity = transition_affinity(_counts(events, n_items, self.lag_decay))
        factors = factorize(affinity, self.dimensions, seed=0)
        return _Pooled(factors.context, factors.target, _half_life(self.query_decay))


@dataclass(frozen=True)
class _Pooled:
    context: Matrix
    target: Matrix
    half_life: float

    def score(self, queries: Queries) -> Matrix:
        weights = recency_weights(queries, len(self.context), self.half_life)
        scores: Matrix = (weights @ self.context) @ self.target.T
        return scores


def _counts(events: EventSequences, n_items: int, lag_decay: float) -> csr_array:
    taste = events.taste()
    return transition_counts(taste.rows, taste.offsets, n_items, lags=10, decay=lag_decay)


def _half_life(decay: float) -> float:
    return -math.log(2) / math.log(decay) if decay < 1 else math.inf
