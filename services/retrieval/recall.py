"""Recall of an index against exact search, on sampled queries."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.common.probe_users import nearest_of

_QUERIES = 32
_ITEMS_A_QUERY = 3
_ROUNDING = 1e-5
"""Error of a float32 inner product, relative to the product of the lengths."""


@dataclass(frozen=True)
class RecallProbe:
    """Queries, and the score that a hit must reach to be one of the nearest.

    A hit counts by its score, not by its row: items without events share one vector, and which of
    equal items is returned is nobody's mistake.

    Attributes:
        vectors: (n, d) float32, all items.
        queries: (q, d) float32, means of three items each, like the vector of a short history.
        least: (q,) float32, exact score of the last of the nearest `count` items, less rounding.
        count: hits a query.
    """

    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    least: NDArray[np.float32]
    count: int

    @classmethod
    def sample(cls, vectors: NDArray[np.float32]) -> "RecallProbe":
        """Draws the queries and searches exactly. Blocks."""
        rng = np.random.default_rng(0)
        rows = rng.integers(len(vectors), size=(_QUERIES, _ITEMS_A_QUERY))
        queries: NDArray[np.float32] = vectors[rows].mean(axis=1)
        count = nearest_of(len(vectors))
        last = [np.partition(vectors @ query, -count)[-count] for query in queries]
        longest = float(np.sqrt(np.einsum("nd,nd->n", vectors, vectors).max()))
        slack = _ROUNDING * longest * np.linalg.norm(queries, axis=1)
        return cls(vectors, queries, (np.array(last) - slack).astype(np.float32), count)

    def hits(self, query: int, rows: NDArray[np.int64]) -> int:
        """How many of the rows found for a query belong to its nearest items."""
        scores = self.vectors[np.unique(rows)] @ self.queries[query]
        return int((scores >= self.least[query]).sum())
