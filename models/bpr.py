"""Bayesian personalized ranking (Rendle et al. 2009, arXiv 1205.2618): matrix factorization that
puts what a user had above what the user did not.

Minimized by Adam over mini-batches of observed pairs (u, i), each with an item j drawn uniformly
from those that u did not have:

    -log sigmoid(s_ui - s_uj) + lambda (|x_u|^2 + |y_i|^2 + |y_j|^2 + b_i^2 + b_j^2),
    s_ui = x_u . y_i + b_i
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import softplus


@dataclass(frozen=True)
class BprConfig:
    """Settings.

    Attributes:
        dimensions: length k of a vector.
        epochs: passes over the observed pairs.
        learning_rate: Adam's.
        regularization: lambda.
        batch: pairs of a step.
        seed: of first vectors, order and drawn items.
    """

    dimensions: int = 32
    epochs: int = 20
    learning_rate: float = 0.01
    regularization: float = 0.01
    batch: int = 4096
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
    keys = np.sort(users * n + interactions.indices)
    generator = torch.Generator().manual_seed(config.seed)
    x, y = (
        (torch.randn(count, config.dimensions, generator=generator) * 0.1).requires_grad_()
        for count in (n_users, n)
    )
    b = torch.zeros(n, requires_grad=True)
    optimizer = torch.optim.Adam([x, y, b], lr=config.learning_rate)
    pairs = torch.from_numpy(keys)
    for _ in range(config.epochs):
        order = torch.randperm(len(pairs), generator=generator)
        for batch in torch.split(order, config.batch):
            user, item = pairs[batch] // n, pairs[batch] % n
            other = torch.randint(n, (len(batch),), generator=generator)
            unseen = ~_contains(pairs, user * n + other)
            loss = _loss(x[user], y, b, item, other, config.regularization)
            optimizer.zero_grad()
            (loss * unseen).sum().div(len(batch)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return BprFactors(x.detach().numpy(), y.detach().numpy(), b.detach().numpy())


def _loss(x: Tensor, y: Tensor, b: Tensor, item: Tensor, other: Tensor, weight: float) -> Tensor:
    """(b,) losses of the pairs; x are the users' vectors, y and b the items' tables."""
    better, worse = y[item], y[other]
    margin = (x * (better - worse)).sum(dim=1) + b[item] - b[other]
    size = sum((part.square().sum(dim=1) for part in (x, better, worse)), torch.zeros(()))
    return softplus(-margin) + weight * (size + b[item].square() + b[other].square())


def _contains(ascending: Tensor, keys: Tensor) -> Tensor:
    place = torch.searchsorted(ascending, keys).clamp(max=len(ascending) - 1)
    return ascending[place] == keys
