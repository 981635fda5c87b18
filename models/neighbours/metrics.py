"""Similarity of two vectors from six sums over their coordinates.

A metric never sees the vectors, so it is the same function whether missing values were filled in or
left out; `rules.py` provides the sums.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_ROUNDING = 1e-12  # differences of sums smaller than this, relatively, are rounding errors


class Moments(Protocol):
    """Sums over the coordinates at which things on the left meet things on the right.

    Float64; their shapes broadcast to that of `product`, one entry a pair. A property may be
    costly: metrics read it once.
    """

    @property
    def count(self) -> Matrix:
        """Coordinates."""

    @property
    def left_sum(self) -> Matrix:
        """Sum of the left vector."""

    @property
    def right_sum(self) -> Matrix:
        """Sum of the right vector."""

    @property
    def left_square(self) -> Matrix:
        """Sum of squares of the left vector."""

    @property
    def right_square(self) -> Matrix:
        """Sum of squares of the right vector."""

    @property
    def product(self) -> Matrix:
        """Inner product."""


Metric = Callable[[Moments], Matrix]
"""Moments of pairs to their similarities, larger is nearer."""


def cosine(moments: Moments) -> Matrix:
    """Cosine of the angle; 0 where a vector is zero."""
    return _ratio(moments.product, np.sqrt(moments.left_square * moments.right_square))


def euclidean(moments: Moments) -> Matrix:
    """1 / (1 + distance)."""
    squares = moments.left_square + moments.right_square
    distance = squares - 2 * moments.product
    distance[distance <= _ROUNDING * squares] = 0
    np.sqrt(distance, out=distance)
    distance += 1
    return np.reciprocal(distance, out=distance)


def pearson(moments: Moments) -> Matrix:
    """Correlation; 0 where a vector is constant."""
    left, right, count = moments.left_sum, moments.right_sum, np.maximum(moments.count, 1)
    variances = _variation(moments.left_square, left, count) * _variation(
        moments.right_square, right, count
    )
    return _ratio(moments.product - left * right / count, np.sqrt(variances))


def dot(moments: Moments) -> Matrix:
    """Inner product."""
    return moments.product


def jaccard(moments: Moments) -> Matrix:
    """Shared over all raters, of vectors of zeros and ones (Tanimoto's form)."""
    product = moments.product
    return _ratio(product, moments.left_square + moments.right_square - product)


METRICS: Mapping[str, Metric] = {
    "cosine": cosine,
    "euclidean": euclidean,
    "pearson": pearson,
    "dot": dot,
    "jaccard": jaccard,
}


def _variation(square: Matrix, total: Matrix, count: Matrix) -> Matrix:
    """Sum of squared deviations from the mean; exactly 0 for a constant vector."""
    variation = square - total * total / count
    return np.where(variation > _ROUNDING * square, variation, 0.0)


def _ratio(numerator: Matrix, denominator: Matrix) -> Matrix:
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.zeros(shape), where=denominator > 0)
