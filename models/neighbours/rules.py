"""What a missing value means: each rule turns sparse ratings into the sums that metrics need.

Things compared are rows of a sparse matrix, raters its columns; what is stored is rated, also a
stored zero. No rule ever holds a filled-in vector: with x = level + base + deviation, only the
deviations at rated places are stored, and sums over the rest follow from the level of the row and
the base of the columns.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.neighbours.metrics import Matrix, Metric

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Ratings:
    """Rows to compare.

    Attributes:
        values: (r, c) float64, without duplicates.
    """

    values: csr_array

    @classmethod
    def of(cls, matrix: csr_array) -> "Ratings":
        values = csr_array(matrix.astype(np.float64, copy=True))
        values.sum_duplicates()
        return cls(values)

    def take(self, rows: NDArray[np.integer] | slice) -> "Ratings":
        return Ratings(self.values[rows])

    @cached_property
    def ones(self) -> csr_array:
        """(r, c) one where rated."""
        return self._like(np.ones_like(self.values.data))

    @cached_property
    def squares(self) -> csr_array:
        """(r, c) squares of the values."""
        return self._like(self.values.data**2)

    @cached_property
    def counts(self) -> Vector:
        """(r,) raters of each row."""
        return np.diff(self.values.indptr).astype(np.float64)

    @cached_property
    def sums(self) -> Vector:
        """(r,) sum of each row."""
        return _row_sums(self.values)

    def row_means(self) -> Vector:
        """(r,) mean of what is rated; 0 for a row without ratings."""
        return self.sums / np.maximum(self.counts, 1)

    def column_means(self) -> Vector:
        """(c,) mean of what is rated; 0 for a column without ratings."""
        width = self.values.shape[1]
        sums = np.bincount(self.values.indices, self.values.data, minlength=width)
        counts = np.bincount(self.values.indices, minlength=width)
        return sums / np.maximum(counts, 1)

    def minus(self, levels: Vector, base: Vector) -> csr_array:
        """(r, c) values less the level of their row and the base of their column."""
        filled = np.repeat(levels, np.diff(self.values.indptr)) + base[self.values.indices]
        return self._like(self.values.data - filled)

    def _like(self, data: Vector) -> csr_array:
        return csr_array((data, self.values.indices, self.values.indptr), shape=self.values.shape)


class Rule(ABC):
    """Left rows against right rows, a block of left rows at a time."""

    @abstractmethod
    def similarities(self, metric: Metric, part: slice, common: csr_array) -> Matrix:
        """Left rows `part` against all right rows.

        Args:
            metric: of `metrics.py`.
            part: b rows of the left side.
            common: (b, n) raters in common.

        Returns:
            (b, n); 0 for a pair that the rule cannot compare.
        """


@dataclass(frozen=True)
class _Sums:
    count: Matrix
    left_sum: Matrix
    right_sum: Matrix
    left_square: Matrix
    right_square: Matrix
    product: Matrix


class _Completed:
    """Rows with every missing value filled in: x = level of the row + base of the column, and
    where rated also the deviation from that."""

    def __init__(self, ratings: Ratings, levels: Vector, base: Vector) -> None:
        self.counts = ratings.counts
        self.levels, self._base = levels, base
        self.deviations = ratings.minus(levels, base)
        self._tilts = self.deviations @ base
        self._rests = base.sum() + _row_sums(self.deviations)  # (r,) sum less that of the level

    @cached_property
    def sums(self) -> Vector:
        """(r,) sum of each filled-in row."""
        sums: Vector = len(self._base) * self.levels + self._rests
        return sums

    @cached_property
    def squares(self) -> Vector:
        """(r,) sum of squares of each filled-in row."""
        own = _row_sums(self.deviations.multiply(self.deviations))
        squares: Vector = own + (self.left_terms() * self.right_terms().T).sum(axis=1)
        return squares

    def left_terms(self) -> Matrix:
        """(r, 4) factors of the part of inner products that is not deviation times deviation."""
        tilts = self._base @ self._base + self._tilts
        return np.stack([self.levels, self._rests, np.ones_like(tilts), tilts], axis=1)

    def right_terms(self) -> Matrix:
        """(4, r) the other factors."""
        return np.stack([self.sums, self.levels, self._tilts, np.ones_like(self.levels)])


class FilledIn(Rule):
    """A missing value is the level of its row plus the base of its column; sums run over all
    columns."""

    def __init__(self, left: _Completed, right: _Completed) -> None:
        self._left, self._right = left, right
        self._deviations = csr_array(right.deviations.T)
        self._left_terms, self._right_terms = left.left_terms(), right.right_terms()
        self._columns = np.array([[float(left.deviations.shape[1])]])

    @classmethod
    def with_zeros(cls, left: Ratings, right: Ratings) -> "FilledIn":
        base = np.zeros(right.values.shape[1])
        return cls(
            *(_Completed(side, np.zeros(side.values.shape[0]), base) for side in (left, right))
        )

    @classmethod
    def with_row_means(cls, left: Ratings, right: Ratings) -> "FilledIn":
        base = np.zeros(right.values.shape[1])
        return cls(*(_Completed(side, side.row_means(), base) for side in (left, right)))

    @classmethod
    def with_column_means(cls, left: Ratings, right: Ratings) -> "FilledIn":
        """The right side's means: the left one may be a single row."""
        base = right.column_means()
        return cls(
            *(_Completed(side, np.zeros(side.values.shape[0]), base) for side in (left, right))
        )

    def similarities(self, metric: Metric, part: slice, common: csr_array) -> Matrix:
        """Something without any rating is like nothing."""
        product = (self._left.deviations[part] @ self._deviations).toarray()
        product += self._left_terms[part] @ self._right_terms
        sums = _Sums(
            count=self._columns,
            left_sum=self._left.sums[part, np.newaxis],
            right_sum=self._right.sums[np.newaxis],
            left_square=self._left.squares[part, np.newaxis],
            right_square=self._right.squares[np.newaxis],
            product=product,
        )
        found = metric(sums)
        found[self._left.counts[part] == 0] = 0
        found[:, self._right.counts == 0] = 0
        return found


class Ignored(Rule):
    """Only raters of both count."""

    def __init__(self, left: Ratings, right: Ratings) -> None:
        self._left, self._right = left, right
        self._ones = csr_array(right.ones.T)
        self._values = csr_array(right.values.T)
        self._squares = csr_array(right.squares.T)

    def similarities(self, metric: Metric, part: slice, common: csr_array) -> Matrix:
        return _laid_out(metric(self._moments(part, common)), common)

    def _moments(self, part: slice, common: csr_array) -> "_CommonSums":
        left = self._left.take(part)
        return _CommonSums(common, left, self._ones, self._values, self._squares)


class Infinite(Ignored):
    """A value missing on one side is infinitely far away: only things with the very same raters
    have a similarity, and it is that of their ratings."""

    def similarities(self, metric: Metric, part: slice, common: csr_array) -> Matrix:
        found = metric(self._moments(part, common))
        left = np.repeat(self._left.counts[part], np.diff(common.indptr))
        right = self._right.counts[common.indices]
        found[(left != common.data) | (right != common.data)] = 0
        return _laid_out(found, common)


@dataclass(frozen=True)
class _CommonSums:
    """Sums over common raters, one number for each of the p pairs that have any. Each is a sparse
    product, made when a metric asks for it.

    Attributes:
        common: (b, n) raters in common; its stored entries are the pairs.
        left: b rows.
        ones, values, squares: (c, n) the right rows, transposed.
    """

    common: csr_array
    left: Ratings
    ones: csr_array
    values: csr_array
    squares: csr_array

    @property
    def count(self) -> Matrix:
        return self.common.data

    @property
    def left_sum(self) -> Matrix:
        return self._of_pairs(self.left.values @ self.ones)

    @property
    def right_sum(self) -> Matrix:
        return self._of_pairs(self.left.ones @ self.values)

    @property
    def left_square(self) -> Matrix:
        return self._of_pairs(self.left.squares @ self.ones)

    @property
    def right_square(self) -> Matrix:
        return self._of_pairs(self.left.ones @ self.squares)

    @property
    def product(self) -> Matrix:
        return self._of_pairs(self.left.values @ self.values)

    def _of_pairs(self, product: csr_array) -> Matrix:
        if np.array_equal(product.indices, self.common.indices):
            return product.data
        # Factors of one structure give products of one structure, but for sums that are zero.
        rows = np.repeat(np.arange(product.shape[0]), np.diff(self.common.indptr))
        of_pairs: Matrix = product.toarray()[rows, self.common.indices]
        return of_pairs


def _laid_out(values: Matrix, pairs: csr_array) -> Matrix:
    """(b, n) values at the stored entries of `pairs`, 0 elsewhere."""
    dense: Matrix = csr_array((values, pairs.indices, pairs.indptr), shape=pairs.shape).toarray()
    return dense


def _row_sums(matrix: csr_array) -> Vector:
    return np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()
