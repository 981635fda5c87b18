"""Normalizations of the utility matrix: each user's utilities moved and scaled, and back again.

Users differ in how they use a scale: one rates from 3 to 5, another from 1 to 4. All four
normalizations are one affine map a user, so each has an inverse and predictions come back in units
of utility.

Only stored entries are observations, and a normalized matrix may store zeros: a utility equal to
its user's average is centred to an explicit 0, which is an observation, not a missing value. Never
call `eliminate_zeros` on one; count observations by `nnz`, not by `count_nonzero`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


@dataclass(frozen=True)
class Normalized:
    """A normalized matrix, with what it takes to undo it.

    Attributes:
        matrix: (n_users, n_items) float32, (utility - shift) / scale at the pairs observed.
        shift: (n_users,) float32 utility that became 0.
        scale: (n_users,) float32 utility that became a step of 1; never 0.
    """

    matrix: csr_array
    shift: NDArray[np.float32]
    scale: NDArray[np.float32]

    def restore(
        self, users: NDArray[np.integer], values: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """(p,) utilities from (p,) normalized values of the (p,) users."""
        restored: NDArray[np.float32] = values * self.scale[users] + self.shift[users]
        return restored.astype(np.float32, copy=False)


def unchanged(utilities: csr_array) -> Normalized:
    """Utilities as they are."""
    nothing = np.zeros(utilities.shape[0], dtype=np.float32)
    return _normalized(utilities, nothing, nothing + 1)


def divided_by_average(utilities: csr_array) -> Normalized:
    """Utility divided by the user's average.

    A user whose average is not above zero, as float32 counts it, is divided by the average of all
    utilities, or by one when that is not above zero either.
    """
    average = _averages(utilities)
    overall = _overall(utilities)
    least = np.finfo(np.float32).smallest_normal
    instead = overall if overall >= least else 1.0
    scale = np.where(average >= least, average, instead)
    return _normalized(utilities, np.zeros_like(scale), scale)


def centred(utilities: csr_array) -> Normalized:
    """Utility minus the user's average.

    A single utility becomes 0. Without any, a user's average is taken to be that of all utilities,
    so that a prediction of 0 comes back as that.
    """
    average = _averages(utilities)
    return _normalized(utilities, average, np.ones_like(average))


def z_scored(utilities: csr_array) -> Normalized:
    """Utility minus the user's average, divided by the user's standard deviation (of the
    population: divided by n).

    A user whose utilities are all equal, as a single one is, has no deviation to divide by and is
    only centred.
    """
    average = _averages(utilities)
    deviations = _normalized(utilities, average, np.ones_like(average)).matrix
    deviations.data **= 2
    deviation = np.sqrt(_sums(deviations) / np.maximum(np.diff(utilities.indptr), 1))
    # Rounding leaves equal utilities a deviation of about 1e-7 of their size.
    flat = deviation <= 1e-5 * np.maximum(np.abs(average), 1)
    return _normalized(utilities, average, np.where(flat, 1, deviation))


NORMALIZATIONS: Mapping[str, Callable[[csr_array], Normalized]] = {
    "none": unchanged,
    "divided": divided_by_average,
    "centred": centred,
    "z-scored": z_scored,
}
"""Every normalization by its name in settings and reports."""


def _normalized(
    utilities: csr_array, shift: NDArray[np.floating], scale: NDArray[np.floating]
) -> Normalized:
    shift, scale = shift.astype(np.float32), scale.astype(np.float32)
    counts = np.diff(utilities.indptr)
    values = (utilities.data - np.repeat(shift, counts)) / np.repeat(scale, counts)
    parts = (values.astype(np.float32), utilities.indices.copy(), utilities.indptr.copy())
    return Normalized(csr_array(parts, shape=utilities.shape), shift, scale)


def _averages(utilities: csr_array) -> NDArray[np.float64]:
    counts = np.diff(utilities.indptr)
    averages = _sums(utilities) / np.maximum(counts, 1)
    return np.where(counts > 0, averages, _overall(utilities))


def _overall(utilities: csr_array) -> float:
    return float(utilities.data.mean(dtype=np.float64)) if utilities.nnz else 0.0


def _sums(matrix: csr_array) -> NDArray[np.float64]:
    owners = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    sums = np.bincount(owners, weights=matrix.data, minlength=matrix.shape[0])
    return sums.astype(np.float64)
