"""Matrix factorization of implicit utility, trained by gradient descent, and fold-in of live users.

The objective is that of implicit ALS (Hu, Koren, Volinsky 2008; Rendle et al. 2021, "Revisiting the
performance of iALS"): sum over observed pairs of (u - x.y)^2, plus alpha times the sum over *all*
pairs of (x.y)^2, plus regularization. The sum over all pairs costs only two Gramians.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

_CHUNK = 1 << 20  # observed pairs a gradient accumulation step


@dataclass(frozen=True)
class FactorizationConfig:
    """Settings of the factorization.

    Attributes:
        dimensions: length of the vectors.
        alpha: weight of a pair nobody observed.
        regularization: weight of the squared norms, per observed pair on average.
        steps: full-batch gradient steps.
        learning_rate: of Adam; decays to zero linearly.
        seed: of the random start.
    """

    dimensions: int = 20
    alpha: float = 0.1
    regularization: float = 0.1
    steps: int = 150
    learning_rate: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class Factors:
    """Vectors whose inner product approximates utility.

    Attributes:
        users: (u, k) float32.
        items: (n, k) float32.
        losses: the objective per observed pair, one a step.
    """

    users: NDArray[np.float32]
    items: NDArray[np.float32]
    losses: list[float]


def factorize_utility(
    utility: csr_array,
    config: FactorizationConfig,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Factors:
    """Fits user and item vectors.

    Args:
        utility: (users, items) float32, what was observed.
        progress: called with (steps done, steps in all).
    """
    generator = torch.Generator().manual_seed(config.seed)
    pairs = utility.tocoo()
    users, items = (torch.from_numpy(index.astype(np.int64)) for index in pairs.coords)
    observed = torch.from_numpy(pairs.data.astype(np.float32))
    x, y = (
        (torch.randn(n, config.dimensions, generator=generator) * 0.1).requires_grad_()
        for n in utility.shape
    )
    optimizer = torch.optim.Adam([x, y], lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, config.steps)
    losses = []
    for step in range(config.steps):
        optimizer.zero_grad()
        losses.append(_accumulate_gradients(x, y, users, items, observed, config))
        optimizer.step()
        schedule.step()
        progress(step + 1, config.steps)
    # An item nobody touched has nothing to say; its random start must not.
    with torch.no_grad():
        x[torch.from_numpy(np.diff(utility.indptr) == 0)] = 0
        y[torch.from_numpy(np.bincount(pairs.coords[1], minlength=len(y)) == 0)] = 0
    return Factors(x.detach().numpy(), y.detach().numpy(), losses)


def _accumulate_gradients(
    x: Tensor, y: Tensor, users: Tensor, items: Tensor, observed: Tensor, c: FactorizationConfig
) -> float:
    n = max(len(observed), 1)
    shrink = c.regularization * (x.square().sum() * n / len(x) + y.square().sum() * n / len(y))
    everywhere = c.alpha * ((x.T @ x) * (y.T @ y)).sum()
    loss = (everywhere + shrink) / n
    loss.backward()
    total = loss.item()
    for start in range(0, len(observed), _CHUNK):
        part = slice(start, start + _CHUNK)
        predicted = (x[users[part]] * y[items[part]]).sum(dim=1)
        loss = (predicted - observed[part]).square().sum() / n
        loss.backward()
        total += loss.item()
    return total


def fold_in(
    item_factors: NDArray[np.float32],
    rows: NDArray[np.int32],
    utilities: NDArray[np.float32],
    weights: NDArray[np.float32] | None = None,
    *,
    alpha: float = FactorizationConfig.alpha,
    regularization: float = FactorizationConfig.regularization,
    gramian: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """The vector of a user who was not in training, by weighted least squares.

    Solves (Y' W Y + alpha G + regularization * sum(W) I) x = Y' W u with G the Gramian of all
    items: the step of ALS for one user.

    Args:
        item_factors: (n, k).
        rows: (h,) items of the user's history.
        utilities: (h,) their utilities.
        weights: (h,) their importance, for instance `recency_weights`; ones by default.
        alpha, regularization: as in training.
        gramian: (k, k) `item_factors.T @ item_factors`, when the caller keeps it.

    Returns:
        (k,) float32; zeros for an empty history.
    """
    k = item_factors.shape[1]
    if len(rows) == 0:
        return np.zeros(k, dtype=np.float32)
    w = np.ones(len(rows), dtype=np.float32) if weights is None else weights
    y = item_factors[rows]
    g = item_factors.T @ item_factors if gramian is None else gramian
    ridge = regularization * float(w.sum()) * np.eye(k, dtype=np.float32)
    solved: NDArray[np.float32] = np.linalg.solve(
        (y.T * w) @ y + alpha * g + ridge, y.T @ (w * utilities)
    )
    return solved.astype(np.float32)


def recency_weights(n: int, decay: float = 0.9) -> NDArray[np.float32]:
    """(n,) weights of a history, oldest first: decay ** (events after it)."""
    return (decay ** np.arange(n - 1, -1, -1)).astype(np.float32)
