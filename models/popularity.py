"""Popularity, plain or recent."""

import numpy as np
from numpy.typing import NDArray

SECONDS_A_DAY = 86_400.0


def popularity(
    rows: NDArray[np.int32],
    times: NDArray[np.float64],
    n_items: int,
    *,
    now: float,
    half_life_days: float = np.inf,
) -> NDArray[np.float32]:
    """Events of each item, each counting half as much for every half-life of its age.

    Args:
        rows: (e,) item rows.
        times: (e,) Unix seconds.
        n_items: number of items.
        now: the moment that ages are relative to, in Unix seconds.
        half_life_days: infinite counts every event fully.

    Returns:
        (n_items,) float32.
    """
    ages = np.maximum(now - times, 0.0) / SECONDS_A_DAY
    weights = np.exp2(-ages / half_life_days)
    counts: NDArray[np.float32] = np.bincount(rows, weights, minlength=n_items).astype(np.float32)
    return counts
