"""Ranks the target of each query among the whole catalogue."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from training.metrics import TOP, RankingMetrics, rank_of_target
from training.splits import Queries

_BLOCK = 256

ScoreBlock = Callable[[Queries], NDArray[np.float32]]
"""Queries (q) to scores (q, n_items) of the whole catalogue."""


def rank_targets(score: ScoreBlock, queries: Queries, n_items: int) -> dict[str, float]:
    """Metrics by name, over items that each query's user had not seen.

    The scores of one block of queries are all that is held.
    """
    ranks: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    shown: set[int] = set()
    for start in range(0, len(queries), _BLOCK):
        block = queries.take(slice(start, start + _BLOCK))
        scores = score(block).astype(np.float32, copy=True)
        seen = [block.seen(i) for i in range(len(block))]
        for row, rows in zip(scores, seen, strict=True):
            best = row.copy()
            best[rows] = -np.inf
            shown.update(np.argpartition(-best, min(TOP, n_items) - 1)[:TOP].tolist())
        ranks.append(rank_of_target(scores, block.targets.astype(np.int64), seen))
    found = np.concatenate(ranks)
    if not len(found):
        return dict.fromkeys(RankingMetrics.of(np.array([n_items]), set(), 1).named(), 0.0)
    return RankingMetrics.of(found, shown, n_items).named()
