"""Batch recommendations: the best unseen items of every user, computed once a release."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.final_score import FinalScorer
from models.release import Items
from training.sequences import EventSequences

_BLOCK = 256


def batch_recommendations(
    scorer: FinalScorer,
    log: EventSequences,
    items: Items,
    count: int,
    progress: Callable[[int, int], None],
) -> pd.DataFrame:
    """Ranks every user's unseen, available items by the final score, `_BLOCK` users at a time.

    Returns:
        Columns `user` (row of the user), `rows` (list of int32, best first), `scores` (float32).
    """
    taste = log.taste()
    users = np.arange(log.n_users)
    now = float(log.times.max(initial=0.0))
    hidden = ~items.available
    length = scorer.towers.model.schema.history_length
    rows: list[NDArray[np.int32]] = []
    scores: list[NDArray[np.float32]] = []
    for start in range(0, log.n_users, _BLOCK):
        block = users[start : start + _BLOCK]
        moments = np.full(len(block), now)
        histories = taste.histories(
            block, taste.offsets[block + 1], moments, [""] * len(block), length
        )
        matrix = scorer.catalogue(histories)
        matrix[:, hidden] = -np.inf
        for user, row in zip(block, matrix, strict=True):
            row[log.rows[log.offsets[user] : log.offsets[user + 1]]] = -np.inf
            best = _top(row, count)
            rows.append(best)
            scores.append(scorer.predict(row[best]))
        progress(start + len(block), log.n_users)
    return pd.DataFrame({"user": users, "rows": rows, "scores": scores})


def _top(scores: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    width = min(count, len(scores))
    best = np.argpartition(-scores, width - 1)[:width]
    best = best[np.argsort(-scores[best], kind="stable")]
    kept: NDArray[np.int32] = best[np.isfinite(scores[best])].astype(np.int32)
    return kept
