"""What users did, as matrices: the log at training time, recency-weighted histories at queries.

Of several events of a user on one item the newest counts; dislikes and hides count nowhere.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.events import NEGATIVE
from training.baselines.method import Matrix
from training.sequences import EventSequences
from training.splits import Queries

_NEGLIGIBLE = 1e-4  # a weight below this changes no list, and would only cost time
_NEGATIVE = np.array(sorted(NEGATIVE), dtype=np.int8)


def binary(events: EventSequences, n_items: int) -> csr_array:
    """(users, n) float32: one where the user had an event of taste on the item."""
    taste = ~np.isin(events.kinds, _NEGATIVE)
    users, rows = events.users[taste], events.rows[taste]
    ones = np.ones(len(rows), np.float32)
    matrix = csr_array((ones, (users, rows)), shape=(events.n_users, n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def recency_weights(
    queries: Queries, n_items: int, half_life: float = math.inf, last: int | None = None
) -> csr_array:
    """Each query's history: 0.5 ** (items since / half_life) for every item in it.

    Args:
        queries: q queries.
        n_items: size n of the catalogue.
        half_life: items after which an item counts half; infinite counts all alike.
        last: newest items that count; None for all.

    Returns:
        (q, n) float32, columns ascending in each row.
    """
    query, item = _newest_touches(queries, n_items)
    counts = np.bincount(query, minlength=len(queries))
    back = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(query))
    weights = np.exp2(-back / half_life)
    kept = weights >= _NEGLIGIBLE
    if last is not None:
        kept &= back < last
    parts = (weights[kept].astype(np.float32), (query[kept], item[kept]))
    matrix = csr_array(parts, shape=(len(queries), n_items))
    matrix.sort_indices()
    return matrix


def _newest_touches(queries: Queries, n_items: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Query and item of each query's newest event on each item, oldest first within a query."""
    log = queries.log
    lengths = queries.known_events
    query = np.repeat(np.arange(len(queries)), lengths)
    position = np.arange(len(query)) + np.repeat(queries.ends - np.cumsum(lengths), lengths)
    taste = ~np.isin(log.kinds[position], _NEGATIVE)
    query, item = query[taste], log.rows[position[taste]]
    # The first of its kind in reverse is the newest.
    _keys, reverse = np.unique((query * n_items + item)[::-1], return_index=True)
    newest = np.sort(len(query) - 1 - reverse)
    return query[newest], item[newest]


@dataclass(frozen=True)
class ItemToItem:
    """Recency-weighted histories times an item-to-item matrix.

    Attributes:
        matrix: (n, n) what an item of the history (row) says for an item (column).
        half_life: items after which an item of the history counts half.
        last: newest items that count; None for all.
    """

    matrix: csr_array
    half_life: float = math.inf
    last: int | None = None

    def score(self, queries: Queries) -> Matrix:
        weights = recency_weights(queries, self.matrix.shape[0], self.half_life, self.last)
        scores: Matrix = (weights @ self.matrix).toarray().astype(np.float32)
        return scores
