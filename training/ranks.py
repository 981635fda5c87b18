"""Ranks the target of each query among the whole catalogue."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics import TOP, RankingMetrics, rank_of_target
from training.splits import Queries

_BLOCK = 256

ScoreBlock = Callable[[Queries], NDArray[np.float32]]
"""Queries (q) to scores (q, n_items) of the whole catalogue."""


@dataclass(frozen=True)
class Ranked:
    """What a model makes of queries.

    Attributes:
        ranks: (q,) int64 rank of each target among the items not seen; 0 is best. A target that
            was seen before counts as missed: no list without seen items can hold it.
        shown: (q, 10) int32 rows of each query's first ten.
        n_items: size of the catalogue.
    """

    ranks: NDArray[np.int64]
    shown: NDArray[np.int32]
    n_items: int

    def metrics(self) -> RankingMetrics:
        """Means over queries."""
        return RankingMetrics.of(self.ranks, set(self.shown.ravel().tolist()), self.n_items)


def rank_targets(score: ScoreBlock, queries: Queries, n_items: int) -> Ranked:
    """Ranks each target; the scores of one block of queries are all that is held."""
    width = min(TOP, n_items)
    ranks = np.full(len(queries), n_items, dtype=np.int64)
    shown = np.empty((len(queries), width), dtype=np.int32)
    for start in range(0, len(queries), _BLOCK):
        block = queries.take(slice(start, start + _BLOCK))
        targets = block.targets.astype(np.int64)
        scores = score(block).astype(np.float32, copy=True)
        seen = [block.seen(i) for i in range(len(block))]
        found = rank_of_target(scores.copy(), targets, seen)
        for i, rows in enumerate(seen):
            if targets[i] in rows:
                found[i] = n_items
            scores[i, rows] = -np.inf
        ranks[start : start + len(block)] = found
        best = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        shown[start : start + len(block)] = np.take_along_axis(best, order, axis=1)
    return Ranked(ranks, shown, n_items)
