"""Matrix factorization of implicit utility by gradient descent, and fold-in of live users.

The objective is that of implicit ALS (Hu, Koren, Volinsky 2008; all unobserved pairs count as
zeros, as in Rendle et al. 2022, 2110.14037), minimized by Adam over all of it at once:

    sum over observed (u, i) of c_ui (1 - x_u . y_i)^2
    + alpha sum over all (u, i) of (x_u . y_i)^2
    + lambda (|X|^2 + |Y|^2),        c_ui = 1 + gamma utility_ui

The sum over all pairs needs no pairs: it is trace(X'X Y'Y).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array


@dataclass(frozen=True)
class FactorizationConfig:
    """Settings of the factorization.

    Attributes:
        dimensions: length k of a vector.
        steps: gradient steps, each over all observations.
        learning_rate: Adam's.
        unobserved_weight: alpha.
        utility_weight: gamma, how much a unit of utility adds to an observation's weight.
        regularization: lambda, in units of one observation's weight.
        seed: of the initial vectors.
    """

    dimensions: int = 20
    steps: int = 150
    learning_rate: float = 0.05
    unobserved_weight: float = 0.05
    utility_weight: float = 0.2
    regularization: float = 0.3
    seed: int = 0


@dataclass(frozen=True)
class Factors:
    """The result.

    Attributes:
        users: (n_users, k) float32.
        items: (n_items, k) float32; zero for items without observations.
        losses: objective after each step, per observation.
    """

    users: NDArray[np.float32]
    items: NDArray[np.float32]
    losses: list[float]


def factorize(
    utilities: csr_array,
    config: FactorizationConfig,
    on_step: Callable[[int], None] = lambda _step: None,
) -> Factors:
    """Minimizes the objective.

    Args:
        utilities: (n_users, n_items) sparse, values > 0.
        config: settings.
        on_step: told the number of each finished step.
    """
    observed = utilities.tocoo()
    row = torch.from_numpy(observed.row.astype(np.int64))
    column = torch.from_numpy(observed.col.astype(np.int64))
    weight = 1 + config.utility_weight * torch.from_numpy(observed.data.astype(np.float32))
    generator = torch.Generator().manual_seed(config.seed)
    x, y = (
        (torch.randn(n, config.dimensions, generator=generator) * 0.1).requires_grad_()
        for n in utilities.shape
    )
    optimizer = torch.optim.Adam([x, y], lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(config.steps, 1))
    losses = []
    for step in range(config.steps):
        predicted = (x[row] * y[column]).sum(dim=1)
        fit = (weight * (1 - predicted) ** 2).sum()
        everywhere = ((x.T @ x) * (y.T @ y)).sum()
        size = x.square().sum() + y.square().sum()
        loss = fit + config.unobserved_weight * everywhere + config.regularization * size
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()) / max(len(row), 1))
        on_step(step + 1)
    known = np.zeros(utilities.shape[1], bool)
    known[observed.col] = True
    items = np.where(known[:, None], y.detach().numpy(), 0).astype(np.float32)
    return Factors(x.detach().numpy().astype(np.float32), items, losses)


class FoldIn:
    """Places a user in the item space by least squares: the objective's optimum over one x_u.

    Args:
        items: (n_items, k) float32 item vectors.
        config: the settings the vectors were made with; the defaults when not given.
    """

    def __init__(
        self, items: NDArray[np.float32], config: FactorizationConfig | None = None
    ) -> None:
        config = config or FactorizationConfig()
        self._items = items
        gram = items.T.astype(np.float64) @ items
        self._base = config.unobserved_weight * gram
        self._base += config.regularization * np.eye(items.shape[1])

    def user_vector(
        self, rows: NDArray[np.int32], weights: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The (k,) float32 vector of a user with these items.

        Args:
            rows: (h,) item rows.
            weights: (h,) weights c of the observations, >= 0; recency goes here.
        """
        vectors = np.asarray(self._items[rows], dtype=np.float64)
        weighted = vectors * weights[:, None]
        solved = np.linalg.solve(self._base + weighted.T @ vectors, weighted.sum(axis=0))
        return solved.astype(np.float32)
