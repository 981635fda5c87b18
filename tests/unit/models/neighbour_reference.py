"""Similarities by their definitions: dense vectors, one pair at a time, plain loops."""

import math

import numpy as np
from numpy.typing import NDArray

Dense = NDArray[np.float64]
"""(users, items); NaN is missing."""


def item_similarity(
    ratings: Dense, metric: str, missing: str, shrink: float = 0.0, min_support: int = 1
) -> Dense:
    """(items, items); the diagonal is 0."""
    return similarity(ratings.T, metric, missing, "item", shrink, min_support)


def user_similarity(
    ratings: Dense, metric: str, missing: str, shrink: float = 0.0, min_support: int = 1
) -> Dense:
    """(users, users); the diagonal is 0."""
    return similarity(ratings, metric, missing, "user", shrink, min_support)


def similarity(
    things: Dense, metric: str, missing: str, rows_are: str, shrink: float, min_support: int
) -> Dense:
    n = len(things)
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            common = sum(1 for a, b in zip(things[i], things[j], strict=True) if a == a and b == b)
            if i == j or common < min_support:
                continue
            value = _pair(things, i, j, metric, missing, rows_are)
            found[i, j] = value if shrink == 0 else value * common / (common + shrink)
    return found


def _pair(things: Dense, i: int, j: int, metric: str, missing: str, rows_are: str) -> float:
    a, b = list(things[i]), list(things[j])
    rated_a, rated_b = [x == x for x in a], [x == x for x in b]
    both = [p and q for p, q in zip(rated_a, rated_b, strict=True)]
    either = [p or q for p, q in zip(rated_a, rated_b, strict=True)]
    if not any(rated_a) or not any(rated_b):
        return 0.0
    if missing == "infinity" and rated_a != rated_b:
        return 0.0
    if metric == "jaccard":
        return float(sum(both) / sum(either))
    if missing in ("ignore", "infinity"):
        if not any(both):
            return 0.0
        a = [x for x, kept in zip(a, both, strict=True) if kept]
        b = [x for x, kept in zip(b, both, strict=True) if kept]
    else:
        a = [_filled(things, i, c, missing, rows_are) for c in range(len(a))]
        b = [_filled(things, j, c, missing, rows_are) for c in range(len(b))]
    return float(_METRICS[metric](a, b))


def _filled(things: Dense, row: int, column: int, missing: str, rows_are: str) -> float:
    value = things[row, column]
    if value == value:
        return float(value)
    if missing == "zero":
        return 0.0
    own = things[row] if missing == f"{rows_are}_average" else things[:, column]
    rated = [float(x) for x in own if x == x]
    return sum(rated) / len(rated) if rated else 0.0


def _cosine(a: list[float], b: list[float]) -> float:
    lengths = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return _dot(a, b) / lengths if lengths > 0 else 0.0


def _euclidean(a: list[float], b: list[float]) -> float:
    return 1 / (1 + math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True))))


def _pearson(a: list[float], b: list[float]) -> float:
    if np.ptp(a) < 1e-9 or np.ptp(b) < 1e-9:
        return 0.0
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    return _cosine([x - mean_a for x in a], [y - mean_b for y in b])


def _dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


_METRICS = {"cosine": _cosine, "euclidean": _euclidean, "pearson": _pearson, "dot": _dot}
