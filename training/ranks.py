"""Where each query's target lands among the whole catalogue, and the metrics that follow."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.splits import Queries

METRICS = ("hr@10", "ndcg@10", "recall@100", "recall@500", "coverage@10")
SLATE = 10
_BLOCK = 256

ScoreBlock = Callable[[Queries], NDArray[np.float32]]
"""Queries (q) to scores (q, n_items) of the whole catalogue."""


@dataclass(frozen=True)
class Ranks:
    """Outcome of one model on a set of queries.

    Attributes:
        ranks: (q,) items placed before the target, seen ones left out; 0 is best.
        shown: distinct items in the first ten of any query.
        n_items: size of the catalogue.
    """

    ranks: NDArray[np.int64]
    shown: int
    n_items: int

    def metrics(self) -> dict[str, float]:
        """`METRICS` by name; one relevant item a query, so recall@k is the hit rate at k."""
        ranks = self.ranks
        if not len(ranks):
            return dict.fromkeys(METRICS, 0.0)
        gain = np.where(ranks < SLATE, 1 / np.log2(ranks + 2.0), 0.0)
        return {
            "hr@10": float((ranks < SLATE).mean()),
            "ndcg@10": float(gain.mean()),
            "recall@100": float((ranks < 100).mean()),
            "recall@500": float((ranks < 500).mean()),
            "coverage@10": self.shown / self.n_items,
        }


def rank_targets(score: ScoreBlock, queries: Queries, n_items: int) -> Ranks:
    """Ranks every query's target among all items its user had not seen.

    Equal scores keep row order, as in a served list. The scores of a block are all that is held.
    """
    ranks = np.zeros(len(queries), dtype=np.int64)
    shown = np.zeros(n_items, dtype=np.bool_)
    for start in range(0, len(queries), _BLOCK):
        block = queries.take(slice(start, start + _BLOCK))
        scores = score(block).astype(np.float32, copy=True)
        for i, target in enumerate(block.targets.tolist()):
            row = scores[i]
            row[block.seen(i)] = -np.inf
            ties_before = int((row[:target] == row[target]).sum())
            ranks[start + i] = int((row > row[target]).sum()) + ties_before
        top = np.argpartition(-scores, min(SLATE, n_items) - 1, axis=1)[:, :SLATE]
        shown[top] = True
    return Ranks(ranks, int(shown.sum()), n_items)
