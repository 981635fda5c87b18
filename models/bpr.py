"""Bayesian personalized ranking (Rendle et al. 2009, arXiv 1205.2618): matrix factorization that
puts what a user had above what the user did not.

Minimized by stochastic gradient descent over the observed pairs (u, i), each with an item j drawn
uniformly from those that u did not have:

    -log sigmoid(s_ui - s_uj) + lambda / 2 (|x_u|^2 + |y_i|^2 + |y_j|^2 + b_i^2 + b_j^2),
    s_ui = x_u . y_i + b_i

A mini-batch adds up the steps of its pairs, so its size costs accuracy, not step length.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

_FIRST_SCALE = 0.1


@dataclass(frozen=True)
class BprConfig:
    """Settings.

    Attributes:
        dimensions: length k of a vector.
        epochs: passes over the observed pairs, fewer when that would exceed `most_pairs`.
        learning_rate: step of a pair at the start; falls to zero linearly over the epochs.
        regularization: lambda.
        batch: pairs of a step.
        most_pairs: bounds the time: 50 million pairs take about a minute on one core.
        seed: of first vectors, order and drawn items.
    """

    dimensions: int = 32
    epochs: int = 50
    learning_rate: float = 0.05
    regularization: float = 0.01
    batch: int = 2048
    most_pairs: int = 50_000_000
    seed: int = 0


@dataclass(frozen=True)
class BprFactors:
    """The result.

    Attributes:
        users: (n_users, k) float32.
        items: (n, k) float32.
        biases: (n,) float32.
    """

    users: NDArray[np.float32]
    items: NDArray[np.float32]
    biases: NDArray[np.float32]

    def score(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """(q, n) scores of all items for (q,) users."""
        scores: NDArray[np.float32] = self.users[users] @ self.items.T + self.biases
        return scores


def fit_bpr(interactions: csr_array, config: BprConfig) -> BprFactors:
    """Learns from a (users, n) sparse matrix whose stored entries are the observed pairs."""
    n_users, n = interactions.shape
    users = np.repeat(np.arange(n_users), np.diff(interactions.indptr))
    pairs = torch.from_numpy(np.sort(users * n + interactions.indices))
    generator = torch.Generator().manual_seed(config.seed)
    x, y = (
        torch.randn(count, config.dimensions, generator=generator) * _FIRST_SCALE
        for count in (n_users, n)
    )
    b = torch.zeros(n)
    epochs = min(config.epochs, max(1, config.most_pairs // max(len(pairs), 1)))
    for epoch in range(epochs):
        rate = config.learning_rate * (1 - epoch / epochs)
        order = torch.randperm(len(pairs), generator=generator)
        for batch in torch.split(order, config.batch):
            pair = pairs.index_select(0, batch)
            user, item = pair // n, pair % n
            other = torch.randint(n, (len(batch),), generator=generator)
            unseen = ~_contains(pairs, user * n + other)
            _step(x, y, b, user[unseen], item[unseen], other[unseen], rate, config.regularization)
    return BprFactors(x.numpy(), y.numpy(), b.numpy())


def _step(
    x: Tensor,
    y: Tensor,
    b: Tensor,
    user: Tensor,
    item: Tensor,
    other: Tensor,
    rate: float,
    weight: float,
) -> None:
    """Moves the three tables down the gradient of the pairs' losses, all taken at one point."""
    # index_select is several times as fast as indexing.
    own, better, worse = x.index_select(0, user), y.index_select(0, item), y.index_select(0, other)
    above, below = b.index_select(0, item), b.index_select(0, other)
    difference = better - worse
    margin = (own * difference).sum(dim=1) + above - below
    pull = torch.sigmoid(-margin)
    x.index_add_(0, user, rate * (pull[:, None] * difference - weight * own))
    y.index_add_(0, item, rate * (pull[:, None] * own - weight * better))
    y.index_add_(0, other, rate * (-pull[:, None] * own - weight * worse))
    b.index_add_(0, item, rate * (pull - weight * above))
    b.index_add_(0, other, rate * (-pull - weight * below))


def _contains(ascending: Tensor, keys: Tensor) -> Tensor:
    place = torch.searchsorted(ascending, keys).clamp(max=len(ascending) - 1)
    return ascending.index_select(0, place) == keys
