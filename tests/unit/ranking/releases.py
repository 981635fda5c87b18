"""Small releases on disk, and a scorer that needs no training."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.history import UserHistory
from models.release import ITEM_FACTORS, ITEM_VECTORS, Release, ReleaseWriter

N_ITEMS = 20
N_FACTORS = 3


class DotScorer:
    """Scores by the inner product with the mean of the history's item vectors, and by their first
    element; predicts the double."""

    def __init__(self, release: Release) -> None:
        self._vectors = release.item_vectors

    names = ("taste", "first")

    def parts(self, user: UserHistory, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        parts = np.zeros((2, len(rows)), dtype=np.float32)
        if len(user.rows):
            parts[0] = self._vectors[rows] @ self._vectors[user.rows].mean(axis=0)
        parts[1] = self._vectors[rows, 0]
        return parts

    def predict(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        return 2 * scores


def write_release(root: Path, vectors: NDArray[np.float32] | None = None) -> Release:
    """A release of `N_ITEMS` items; the vectors are random unless given."""
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    if vectors is None:
        vectors = rng.standard_normal((N_ITEMS, 4)).astype(np.float32)
    with ReleaseWriter(root) as writer:
        writer.array(ITEM_VECTORS, vectors)
        writer.array(ITEM_FACTORS, np.ones((len(vectors), N_FACTORS), dtype=np.float32))
        return writer.commit(
            cut_off=0.0,
            n_items=len(vectors),
            n_users=0,
            n_events=0,
            feature_schema="test",
            config={},
            metrics={},
        )


def history(*rows: int, ages: list[float] | None = None, factors: int = 0) -> UserHistory:
    """A user who clicked the rows one minute apart."""
    n = len(rows)
    return UserHistory(
        rows=np.array(rows, dtype=np.int32),
        kinds=np.full(n, 2, dtype=np.int8),
        ages=np.array(ages if ages is not None else 60.0 * np.arange(n)[::-1], dtype=np.float32),
        values=np.zeros(n, dtype=np.float32),
        time=1.7e9,
        factors=np.ones(factors, dtype=np.float32),
    )
