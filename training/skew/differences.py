"""How far apart two values of a feature are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.history import WeightedRows
from models.trending import TREND_ITEMS

_NO_NUMBER = float(np.finfo(np.float32).max)

WEIGHT_TOLERANCE = 1e-6
"""Of weights of items, which are sums in an order of their own."""


def largest(differences: NDArray[np.float32]) -> float:
    """The largest of (n,) differences, 0 of none; one that is no number exceeds any tolerance."""
    return float(np.nan_to_num(differences.max(initial=0.0), nan=_NO_NUMBER, posinf=_NO_NUMBER))


def places(made: NDArray[Any], logged: NDArray[Any], lengths: bool = True) -> float:
    """Places that differ, counted from the newest; with those that only one has, if wanted."""
    common = min(len(made), len(logged))
    differ = int((made[len(made) - common :] != logged[len(logged) - common :]).sum())
    return float(differ + (abs(len(made) - len(logged)) if lengths else 0))


def apart(made: NDArray[np.float32], logged: NDArray[np.float32]) -> float:
    """The largest difference of the newest values that both have."""
    common = min(len(made), len(logged))
    return largest(abs(made[len(made) - common :] - logged[len(logged) - common :]))


def padded(
    made: NDArray[np.float32], logged: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    n = max(len(made), len(logged))
    return np.pad(made, (0, n - len(made))), np.pad(logged, (0, n - len(logged)))


def weights_apart(made: WeightedRows, logged: WeightedRows) -> float:
    """The largest difference of weights. What a full list lacks may weigh as much as its last."""
    if np.array_equal(made.rows, logged.rows) and np.array_equal(made.weights, logged.weights):
        return 0.0
    rows = np.union1d(made.rows, logged.rows).astype(np.int32)
    one, other = made.of(rows), logged.of(rows)
    for mine, listed, theirs in ((one, made, other), (other, logged, one)):
        if len(listed) >= TREND_ITEMS:
            absent = mine == 0
            mine[absent] = np.minimum(theirs[absent], listed.weights.min())
    return largest(abs(one - other))
