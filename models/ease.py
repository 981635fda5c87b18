"""EASE: linear item-to-item weights in closed form (Steck 2019, arXiv 1905.03375).

With X the (users, n) binary matrix, the weights B minimize

    |X - X B|^2 + lambda |B|^2    subject to diag(B) = 0,

whose solution is B = I - P diag(1 / diag(P)), P = (X'X + lambda I)^-1. That inverts an (n, n)
matrix. Where users are fewer than items, Woodbury's identity gives the same B from a (users, users)
one: with K = (XX' + lambda I)^-1, P = (I - X'KX) / lambda, so that a history h scores

    (h B)_j = ((h X'KX)_j - h_j d_j) / (1 - d_j),    d_j = (X'KX)_jj,

and no (n, n) matrix is ever made.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

LARGEST = 10_000
"""Side of the largest matrix that is inverted: 400 MB in float32, about half a minute a core."""

_BLOCK_CELLS = 1 << 23


class Ease(Protocol):
    """Fitted weights B."""

    def score(self, histories: csr_array) -> NDArray[np.float32]:
        """h B of (q, n) sparse histories h: (q, n) float32."""


def fit_ease(interactions: csr_array, regularization: float) -> Ease:
    """Solves for B over whichever of users and items are fewer.

    When both are more than `LARGEST`, only the `LARGEST` items that most users had take part (of
    equals, the one of lower row); the others rank behind all of them.

    Args:
        interactions: (users, n) sparse, one where a user had an item.
        regularization: lambda > 0, in users.
    """
    active = csr_array(interactions[np.diff(interactions.indptr) > 0]).astype(np.float32)
    users, n = active.shape
    if users < n and users <= LARGEST:
        return _by_users(active, regularization)
    if n <= LARGEST:
        return _by_items(active, regularization)
    counts = np.bincount(active.indices, minlength=n)
    frequent = np.sort(np.argsort(-counts, kind="stable")[:LARGEST])
    return _Part(_by_items(csr_array(active[:, frequent]), regularization), frequent, n)


@dataclass(frozen=True)
class _Items:
    weights: NDArray[np.float32]  # (n, n)

    def score(self, histories: csr_array) -> NDArray[np.float32]:
        return np.asarray(histories @ self.weights, dtype=np.float32)


@dataclass(frozen=True)
class _Users:
    interactions: csr_array  # X, (users, n)
    kernel: NDArray[np.float32]  # K, (users, users)
    leverage: NDArray[np.float32]  # d, (n,)

    def score(self, histories: csr_array) -> NDArray[np.float32]:
        pooled = (histories @ self.interactions.T).toarray() @ self.kernel
        smoothed = np.asarray(self.interactions.T @ pooled.T).T
        own = histories.multiply(self.leverage[None, :])
        return np.asarray((smoothed - own) / (1 - self.leverage), dtype=np.float32)


@dataclass(frozen=True)
class _Part:
    ease: Ease
    rows: NDArray[np.int64]
    n: int

    def score(self, histories: csr_array) -> NDArray[np.float32]:
        found = self.ease.score(csr_array(histories[:, self.rows]))
        scores = np.empty((found.shape[0], self.n), dtype=np.float32)
        scores[:] = found.min(axis=1, keepdims=True) - 1
        scores[:, self.rows] = found
        return scores


def _by_items(interactions: csr_array, regularization: float) -> _Items:
    inverse = _inverse((interactions.T @ interactions).toarray(), regularization)
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return _Items(weights)


def _by_users(interactions: csr_array, regularization: float) -> _Users:
    kernel = _inverse((interactions @ interactions.T).toarray(), regularization)
    users, n = interactions.shape
    items = csr_array(interactions.T)
    leverage = np.empty(n, dtype=np.float32)
    size = max(1, _BLOCK_CELLS // max(users, 1))
    for start in range(0, n, size):
        block = csr_array(items[start : start + size])
        leverage[start : start + size] = block.multiply(block @ kernel).sum(axis=1)
    return _Users(interactions, kernel, leverage)


def _inverse(gram: NDArray[np.float32], regularization: float) -> NDArray[np.float32]:
    """(gram + regularization I)^-1 of a positive semi-definite matrix, which is used up."""
    gram[np.diag_indices_from(gram)] += regularization
    factor = torch.linalg.cholesky(torch.from_numpy(gram))
    inverse: NDArray[np.float32] = torch.cholesky_inverse(factor).numpy()
    return inverse
