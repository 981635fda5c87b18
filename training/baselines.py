"""Simple recommenders that every model must beat: one class each, all listed in `evaluate.py`.

Each is fitted on event sequences and then scores all items for queries, from what is known of
their users at that moment.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.matrix_factorization import FactorizationConfig, FoldIn, factorize
from models.neighbours import Neighbours, item_neighbours
from models.transitions import transition_counts
from training.sequences import EventSequences
from training.splits import Queries

Times = NDArray[np.float64]
Matrix = NDArray[np.float32]

_DAY = 86_400.0


class Fitted(Protocol):
    def score(self, queries: Queries) -> Matrix:
        """(q, n) scores of all items."""


class Baseline(Protocol):
    """One setting of one method."""

    def fit(self, events: EventSequences, n_items: int) -> Fitted: ...


@dataclass(frozen=True)
class Popularity:
    """Number of events; the same list for all."""

    def fit(self, events: EventSequences, n_items: int) -> Fitted:
        return _Constant(np.bincount(events.rows, minlength=n_items).astype(np.float32))


@dataclass(frozen=True)
class _Constant:
    scores: Matrix

    def score(self, queries: Queries) -> Matrix:
        return np.tile(self.scores, (len(queries), 1))


@dataclass(frozen=True)
class RecentPopularity:
    """Number of events in the last `days` before the moment asked about."""

    days: float

    def fit(self, events: EventSequences, n_items: int) -> Fitted:
        order = np.argsort(events.times, kind="stable")
        return _Recent(events.times[order], events.rows[order], n_items, self.days * _DAY)


@dataclass(frozen=True)
class _Recent:
    times: Times
    rows: NDArray[np.int32]
    n_items: int
    seconds: float

    def score(self, queries: Queries) -> Matrix:
        scores = np.empty((len(queries), self.n_items), np.float32)
        for at, time in enumerate(queries.times):
            begin, end = np.searchsorted(self.times, [time - self.seconds, time])
            scores[at] = np.bincount(self.rows[begin:end], minlength=self.n_items)
        return scores


@dataclass(frozen=True)
class ItemKnn:
    """Sum of cosine similarities to the items of the history, each counted by recency.

    Attributes:
        neighbours: nearest items kept for an item.
        decay: weight ratio of one event further back; 1 counts all alike.
        last: events of the history that count; 0 means all.
    """

    neighbours: int = 100
    decay: float = 1.0
    last: int = 0

    def fit(self, events: EventSequences, n_items: int) -> Fitted:
        found = item_neighbours(binary(events, n_items), shrink=0.0, m=self.neighbours)
        return _Histories(_as_sparse(found, n_items), self.decay, self.last)


@dataclass(frozen=True)
class Transitions:
    """Item-to-item transitions: what came after the last items, in this order.

    Attributes:
        lag_decay: weight ratio of a transition one event longer.
        query_decay: weight ratio of a history event one further back.
    """

    lag_decay: float = 0.8
    query_decay: float = 0.6

    def fit(self, events: EventSequences, n_items: int) -> Fitted:
        counts = transition_counts(
            events.rows, events.offsets, n_items, lags=10, decay=self.lag_decay
        )
        sums = np.asarray(counts.sum(axis=1)).ravel() + 5.0
        counts.data = counts.data / np.repeat(sums, np.diff(counts.indptr)).astype(np.float32)
        return _Histories(counts, self.query_decay, 20)


@dataclass(frozen=True)
class _Histories:
    """Histories, weighted by recency, times an item-to-item matrix."""

    matrix: csr_array
    decay: float
    last: int

    def score(self, queries: Queries) -> Matrix:
        scores: Matrix = (self._weights(queries) @ self.matrix).toarray().astype(np.float32)
        return scores

    def _weights(self, queries: Queries) -> csr_array:
        rows, columns, weights = [], [], []
        for at in range(len(queries)):
            items = queries.seen(at)[-self.last :]
            rows.append(np.full(len(items), at))
            columns.append(items)
            weights.append(self.decay ** np.arange(len(items) - 1, -1, -1, dtype=np.float32))
        shape = (len(queries), self.matrix.shape[0])
        parts = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
        return csr_array(parts, shape=shape)


@dataclass(frozen=True)
class ImplicitFactors:
    """Implicit matrix factorization, users folded in from their history.

    Attributes:
        dimensions: length of a vector.
        half_life: events after which an event counts half; 0 counts all alike.
    """

    dimensions: int = 32
    half_life: float = 0.0

    def fit(self, events: EventSequences, n_items: int) -> Fitted:
        config = FactorizationConfig(dimensions=self.dimensions)
        factors = factorize(binary(events, n_items), config)
        return _FoldedIn(factors.items, FoldIn(factors.items, config), self.half_life)


@dataclass(frozen=True)
class _FoldedIn:
    items: Matrix
    fold_in: FoldIn
    half_life: float

    def score(self, queries: Queries) -> Matrix:
        vectors = [self._vector(queries.seen(at)) for at in range(len(queries))]
        scores: Matrix = np.stack(vectors) @ self.items.T
        return scores

    def _vector(self, rows: NDArray[np.int32]) -> Matrix:
        back = np.arange(len(rows) - 1, -1, -1, dtype=np.float32)
        weights = 0.5 ** (back / self.half_life) if self.half_life else np.ones_like(back)
        return self.fold_in.user_vector(rows, weights)


def binary(events: EventSequences, n_items: int) -> csr_array:
    """(users, n_items) float32: one where the user had any event on the item."""
    ones = np.ones(len(events), np.float32)
    matrix = csr_array((ones, (events.users, events.rows)), shape=(events.n_users, n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def _as_sparse(found: Neighbours, n_items: int) -> csr_array:
    real = found.rows >= 0
    sources = np.nonzero(real)[0]
    return csr_array((found.scores[real], (sources, found.rows[real])), shape=(n_items, n_items))
