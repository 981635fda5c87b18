"""What predicts an explicit utility, however it was fitted: biases and an inner product."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.truncated_svd import truncated_svd

_SWEEPS = 15


@dataclass(frozen=True)
class Biases:
    """The part of a utility that is no matter of taste.

    Attributes:
        mean: of all utilities.
        users: (n_users,) float32, how far above it a user rates; 0 without observations.
        items: (n_items,) float32, how far above it an item is rated; 0 without observations.
    """

    mean: float
    users: NDArray[np.float32]
    items: NDArray[np.float32]


@dataclass(frozen=True)
class RatingFactors:
    """Predicts utility as mean + b_u + b_i + x_u . y_i.

    Attributes:
        biases: mean, b_u and b_i.
        users: (n_users, k) float32 x; zero for users without observations.
        items: (n_items, k) float32 y; zero for items without observations.
        low, high: smallest and largest utility seen; predictions are clipped to them.
    """

    biases: Biases
    users: NDArray[np.float32]
    items: NDArray[np.float32]
    low: float
    high: float

    def predict(
        self, users: NDArray[np.integer], items: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """(p,) float32 predicted utilities of p pairs of rows."""
        found = self.biases.mean + self.biases.users[users] + self.biases.items[items]
        found += np.einsum("pk,pk->p", self.users[users], self.items[items])
        clipped: NDArray[np.float32] = found.clip(self.low, self.high).astype(np.float32)
        return clipped

    def with_biases(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Two tables whose inner product alone is the utility (unclipped) above the mean.

        Returns:
            (n_users, k + 2) rows [x_u, b_u, 1] and (n_items, k + 2) rows [y_i, 1, b_i].
        """
        of_users, of_items = self.biases.users[:, None], self.biases.items[:, None]
        users = np.hstack([self.users, of_users, np.ones_like(of_users)])
        items = np.hstack([self.items, np.ones_like(of_items), of_items])
        return users, items


def fit_biases(
    utilities: csr_array, *, user_shrink: float = 5.0, item_shrink: float = 3.0
) -> Biases:
    """Ridge regression on users and items, by alternating averages (Koren 2010, section 2.1).

    Args:
        utilities: (n_users, n_items) sparse; every stored entry, also a 0, is an observation.
        user_shrink, item_shrink: imagined observations without deviation, a user and an item.

    Raises:
        ValueError: nothing is observed.
    """
    if not utilities.nnz:
        raise ValueError("no utility is observed")
    n_users, n_items = utilities.shape
    counts = np.diff(utilities.indptr)
    row, column = np.repeat(np.arange(n_users), counts), utilities.indices
    of_users = counts + user_shrink
    of_items = np.bincount(column, minlength=n_items) + item_shrink
    mean = float(utilities.data.mean(dtype=np.float64))
    deviation = utilities.data - mean
    users = np.zeros(n_users)
    for _ in range(_SWEEPS):
        items = np.bincount(column, deviation - users[row], n_items) / of_items
        users = np.bincount(row, deviation - items[column], n_users) / of_users
    return Biases(mean, users.astype(np.float32), items.astype(np.float32))


def svd_ratings(utilities: csr_array, dimensions: int, seed: int = 0) -> RatingFactors:
    """Truncated SVD of what biases leave unexplained; pairs not observed count as unexplained 0.

    That pull towards 0 is the only regularization, so few dimensions do best.

    Args:
        utilities: (n_users, n_items) sparse; every stored entry, also a 0, is an observation.
        dimensions: length k of a vector.
        seed: of the random projection.

    Raises:
        ValueError: nothing is observed.
    """
    biases = fit_biases(utilities)
    left = utilities.copy()
    left.data = residuals(utilities, biases)
    users, items = truncated_svd(left, dimensions, seed).split(dimensions)
    low, high = float(utilities.data.min()), float(utilities.data.max())
    return RatingFactors(biases, users, items, low, high)


def residuals(utilities: csr_array, biases: Biases) -> NDArray[np.float32]:
    """(nnz,) float32: stored utilities less mean and biases, in storage order."""
    row = np.repeat(np.arange(utilities.shape[0]), np.diff(utilities.indptr))
    explained = biases.mean + biases.users[row] + biases.items[utilities.indices]
    left: NDArray[np.float32] = (utilities.data - explained).astype(np.float32)
    return left
