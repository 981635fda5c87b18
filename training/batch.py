"""Batch recommendations: the best unseen items of every user, computed once a release."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.release import Items
from models.scorer import TowerScorer
from training.sequences import EventSequences

_BLOCK = 256


def batch_recommendations(
    scorer: TowerScorer,
    log: EventSequences,
    items: Items,
    count: int,
    progress: Callable[[int, int], None],
) -> pd.DataFrame:
    """Ranks every user's unseen, available items by the two towers, `_BLOCK` users at a time.

    Returns:
        Columns `user` (row of the user), `rows` (list of int32, best first), `scores` (float32).
    """
    taste = log.taste()
    users = np.arange(log.n_users)
    now = float(log.times.max(initial=0.0))
    hidden = ~items.available
    rows: list[NDArray[np.int32]] = []
    scores: list[NDArray[np.float32]] = []
    for start in range(0, log.n_users, _BLOCK):
        block = users[start : start + _BLOCK]
        histories = taste.histories(
            block,
            taste.offsets[block + 1],
            np.full(len(block), now),
            [""] * len(block),
            scorer.model.schema.history_length,
        )
        matrix = scorer.user_vectors(histories) @ scorer.item_vectors.T
        matrix[:, hidden] = -np.inf
        for user, row in zip(block, matrix, strict=True):
            row[log.rows[log.offsets[user] : log.offsets[user + 1]]] = -np.inf
            best = _top(row, count)
            rows.append(best)
            scores.append(row[best])
        progress(start + len(block), log.n_users)
    return pd.DataFrame({"user": users, "rows": rows, "scores": scores})


def _top(scores: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    width = min(count, len(scores))
    best = np.argpartition(-scores, width - 1)[:width]
    best = best[np.argsort(-scores[best], kind="stable")]
    kept: NDArray[np.int32] = best[np.isfinite(scores[best])].astype(np.int32)
    return kept
