"""Matrix factorization of implicit utility, and fold-in of live users.

The objective is that of implicit ALS (Hu, Koren, Volinsky 2008; all unobserved pairs count as
zeros and regularization may grow with frequency, as in Rendle et al. 2022, 2110.14037):

    sum over observed (u, i) of c_ui (1 - x_u . y_i)^2
    + alpha sum over all (u, i) of (x_u . y_i)^2
    + sum over u of lambda_u |x_u|^2 + sum over i of lambda_i |y_i|^2

    c_ui = 1 + gamma utility_ui
    lambda_u = lambda (sum over i of c_ui + alpha n_items)^nu,  lambda_i likewise

The sum over all pairs needs no pairs: it is trace(X'X Y'Y). Adam minimizes all of it at once;
alternating least squares solves for all users, then for all items, in turn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.least_squares import solve_rows
from models.sparse_products import dots

GRADIENT = "gradient"
ALTERNATING = "alternating"
SOLVERS = (GRADIENT, ALTERNATING)

_INITIAL_SCALE = 0.1


@dataclass(frozen=True)
class FactorizationConfig:
    """Settings of the factorization.

    Attributes:
        dimensions: length k of a vector.
        steps: gradient steps, each over all observations, or sweeps over users and items.
        learning_rate: Adam's.
        unobserved_weight: alpha.
        utility_weight: gamma, how much a unit of utility adds to an observation's weight.
        regularization: lambda, in units of one observation's weight.
        seed: of the initial vectors.
        solver: `gradient` (Adam), or `alternating` (least squares): a tenth of the steps will do.
        frequency_exponent: nu, from 0 (all vectors alike) to 1.
    """

    dimensions: int = 20
    steps: int = 150
    learning_rate: float = 0.05
    unobserved_weight: float = 0.05
    utility_weight: float = 0.2
    regularization: float = 0.3
    seed: int = 0
    solver: str = GRADIENT
    frequency_exponent: float = 0.0

    def weigh(self, utilities: csr_array) -> csr_array:
        """c of the observed pairs, (n_users, n_items)."""
        weights = (1 + self.utility_weight * utilities.data).astype(np.float32)
        parts = (weights, utilities.indices, utilities.indptr)
        return csr_array(parts, shape=utilities.shape)

    def penalties(
        self, weights: NDArray[np.floating] | NDArray[np.integer], opposite: int
    ) -> NDArray[np.float32]:
        """lambda of rows.

        Args:
            weights: (n,) sum of each row's weights c.
            opposite: number of rows on the other side.
        """
        frequency = weights + self.unobserved_weight * opposite
        penalties: NDArray[np.float32] = self.regularization * frequency**self.frequency_exponent
        return penalties.astype(np.float32)


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
    """Minimizes the objective by the solver of the settings.

    Args:
        utilities: (n_users, n_items) sparse, one entry a pair, values > 0.
        config: settings.
        on_step: told the number of each finished step.

    Raises:
        ValueError: there is no such solver.
    """
    if config.solver == GRADIENT:
        return _descend(utilities, config, on_step)
    if config.solver == ALTERNATING:
        return fit_ials(utilities, config, on_step)
    raise ValueError(f"solver {config.solver!r} is neither {GRADIENT} nor {ALTERNATING}")


def fit_ials(
    utilities: csr_array,
    config: FactorizationConfig,
    on_step: Callable[[int], None] = lambda _step: None,
) -> Factors:
    """Minimizes the objective by alternating least squares, whatever the solver of the settings.

    The first half of a sweep gives the users their best vectors for the items', the second the
    items theirs. `Factors.users` are solved once more at the end, so that folding in a known user
    gives the same vector.

    Args:
        utilities: (n_users, n_items) sparse, one entry a pair, values > 0.
        config: settings; `steps` sweeps are made.
        on_step: told the number of each finished sweep.
    """
    of_users = config.weigh(utilities)
    of_items = of_users.T.tocsr()
    n_users, n_items = utilities.shape
    user_penalties = config.penalties(of_users.sum(axis=1), n_items)
    item_penalties = config.penalties(of_items.sum(axis=1), n_users)
    alpha = config.unobserved_weight
    rng = np.random.default_rng(config.seed)
    scale = _INITIAL_SCALE / np.sqrt(config.dimensions)
    y = rng.standard_normal((n_items, config.dimensions), dtype=np.float32) * np.float32(scale)
    y[np.diff(of_items.indptr) == 0] = 0

    def solve_users() -> NDArray[np.float32]:
        return solve_rows(of_users, y, unobserved_weight=alpha, penalties=user_penalties)

    losses = []
    for sweep in range(config.steps):
        x = solve_users()
        y = solve_rows(of_items, x, unobserved_weight=alpha, penalties=item_penalties)
        fit = of_users.data @ np.square(1 - dots(of_users, x, y))
        everywhere = ((x.T @ x) * (y.T @ y)).sum()
        size = user_penalties @ np.square(x).sum(axis=1) + item_penalties @ np.square(y).sum(axis=1)
        losses.append(float(fit + alpha * everywhere + size) / max(utilities.nnz, 1))
        on_step(sweep + 1)
    return Factors(solve_users(), y, losses)


def _descend(
    utilities: csr_array, config: FactorizationConfig, on_step: Callable[[int], None]
) -> Factors:
    weights = config.weigh(utilities)
    observed = weights.tocoo()
    row = torch.from_numpy(observed.row.astype(np.int64))
    column = torch.from_numpy(observed.col.astype(np.int64))
    weight = torch.from_numpy(observed.data)
    generator = torch.Generator().manual_seed(config.seed)
    x, y = (
        (torch.randn(n, config.dimensions, generator=generator) * _INITIAL_SCALE).requires_grad_()
        for n in utilities.shape
    )
    of_users, of_items = (
        torch.from_numpy(config.penalties(weights.sum(axis=axis), opposite))
        for axis, opposite in ((1, utilities.shape[1]), (0, utilities.shape[0]))
    )
    optimizer = torch.optim.Adam([x, y], lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(config.steps, 1))
    losses = []
    for step in range(config.steps):
        predicted = (x[row] * y[column]).sum(dim=1)
        fit = (weight * (1 - predicted) ** 2).sum()
        everywhere = ((x.T @ x) * (y.T @ y)).sum()
        size = of_users @ x.square().sum(dim=1) + of_items @ y.square().sum(dim=1)
        loss = fit + config.unobserved_weight * everywhere + size
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
        self._config = config or FactorizationConfig()
        self._items = items
        self._base = self._config.unobserved_weight * (items.T.astype(np.float64) @ items)
        self._identity = np.eye(items.shape[1])

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
        penalty = self._config.penalties(weights.sum(keepdims=True), len(self._items))
        system = self._base + penalty * self._identity + weighted.T @ vectors
        return np.linalg.solve(system, weighted.sum(axis=0)).astype(np.float32)

    def user_vectors(
        self, rows: NDArray[np.int32], weights: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """The (b, k) float32 vectors of b users who share items.

        Args:
            rows: (s,) item rows.
            weights: (b, s) each user's weights c of them, 0 for an item that is not the user's.
        """
        vectors = np.asarray(self._items[rows], dtype=np.float64)
        s, k = vectors.shape
        squares = (vectors[:, :, None] * vectors[:, None, :]).reshape(s, k * k)
        penalties = self._config.penalties(weights.sum(axis=1), len(self._items))
        systems = (weights @ squares).reshape(-1, k, k)
        systems += self._base
        diagonal = np.arange(k)
        systems[:, diagonal, diagonal] += penalties[:, None]
        sums = weights @ vectors
        return np.linalg.solve(systems, sums[:, :, None])[:, :, 0].astype(np.float32)
