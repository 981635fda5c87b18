"""Factorization of explicit utility by gradient descent, with biases and implicit terms:

    r_ui ~ mean + b_u + b_i + x_u . y_i
    x_u = p_u + |N(u)|^-1/2 sum over i in N(u) of v_i
    y_i = q_i + |N(i)|^-1/2 sum over u in N(i) of w_u

by the squared error over observed pairs plus L2 penalties of b, p, q, v and w. v says what having
rated an item tells of a user (SVD++, Koren 2008), w what having been rated by a user tells of an
item ("flipped" in Rendle, Zhang, Koren 2019, 1905.01395). Without `implicit`, x is p and y is q.
Prediction is an inner product either way: the result holds x and y, with the sums done.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.rating_factors import Biases, RatingFactors, fit_biases
from models.sparse_products import inner_products, sparse_product

_INITIAL_SCALE = 0.05
_LEAST_GAIN = 1e-5


@dataclass(frozen=True)
class RatingFactorizationConfig:
    """Settings of the factorization. Penalties are in units of one squared error.

    Attributes:
        dimensions: length k of a vector.
        implicit: learn v and w too.
        regularization: penalty of p and q; about 14 is best without `implicit`.
        implicit_regularization: penalty of v and w.
        bias_regularization: penalty of biases.
        learning_rate: Adam's.
        epochs: most gradient steps, each over all observations.
        patience: epochs without a lower validation error before training stops.
        validation_share: share of the observations that is kept back to stop by.
        refit: train again on all observations, for as many epochs as were best.
        seed: of initial vectors and of the choice of what is kept back.
    """

    dimensions: int = 20
    implicit: bool = True
    regularization: float = 22.0
    implicit_regularization: float = 30.0
    bias_regularization: float = 4.0
    learning_rate: float = 0.01
    epochs: int = 400
    patience: int = 20
    validation_share: float = 0.1
    refit: bool = True
    seed: int = 0


@dataclass(frozen=True)
class LearningCurve:
    """Root mean squared error by epoch; entry 0 is before the first.

    Attributes:
        train: on the observations learnt from.
        validation: on those kept back; empty when none were.
        best: epochs after which the weights were kept.
    """

    train: list[float]
    validation: list[float]
    best: int


@dataclass(frozen=True)
class RatingFit:
    """Factors, and how the fit with a validation slice went."""

    factors: RatingFactors
    curve: LearningCurve


def factorize_ratings(
    utilities: csr_array,
    config: RatingFactorizationConfig | None = None,
    on_epoch: Callable[[int], None] = lambda _epoch: None,
) -> RatingFit:
    """Minimizes the objective and keeps the weights that were best on validation.

    Where too few observations leave none for validation, all epochs are run.

    Args:
        utilities: (n_users, n_items) sparse, one entry a pair; every stored entry, also a 0, is an
            observation.
        config: settings; the defaults when not given.
        on_epoch: told the number of each finished epoch; a refit counts from 1 again.

    Raises:
        ValueError: nothing is observed.
    """
    config = config or RatingFactorizationConfig()
    drawn = np.random.default_rng(config.seed).permutation(utilities.nnz)
    kept_back = np.zeros(utilities.nnz, dtype=np.bool_)
    kept_back[drawn[: int(utilities.nnz * config.validation_share)]] = True
    fit = _descend(
        select_stored(utilities, ~kept_back), select_stored(utilities, kept_back), config, on_epoch
    )
    if not (config.refit and kept_back.any()):
        return fit
    nothing = select_stored(utilities, np.zeros_like(kept_back))
    again = _descend(utilities, nothing, replace(config, epochs=fit.curve.best), on_epoch)
    return RatingFit(again.factors, fit.curve)


def select_stored(utilities: csr_array, mask: NDArray[np.bool_]) -> csr_array:
    """The stored entries of a (nnz,) mask, zeros included."""
    ends = np.concatenate([[0], np.cumsum(mask)])[utilities.indptr]
    parts = (utilities.data[mask], utilities.indices[mask], ends)
    return csr_array(parts, shape=utilities.shape)


def _descend(
    observed: csr_array,
    validation: csr_array,
    config: RatingFactorizationConfig,
    on_epoch: Callable[[int], None],
) -> RatingFit:
    model = _Model(observed, config)
    rows = np.repeat(np.arange(validation.shape[0]), np.diff(validation.indptr))
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    train: list[float] = []
    held_out: list[float] = []
    kept, best = None, 0
    for epoch in range(config.epochs + 1):
        x, y = model.vectors()
        squares = model.squared_errors(x, y)
        train.append(float(squares.detach() / observed.nnz) ** 0.5)
        factors = model.factors(x, y)
        if validation.nnz:
            errors = factors.predict(rows, validation.indices) - validation.data
            held_out.append(float(np.square(errors).mean() ** 0.5))
        if not held_out or kept is None or held_out[-1] < held_out[best] - _LEAST_GAIN:
            kept, best = factors, epoch
        elif epoch - best >= config.patience:
            break
        if epoch < config.epochs:
            optimizer.zero_grad()
            (squares + model.penalty()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            on_epoch(epoch + 1)
    assert kept is not None
    return RatingFit(kept, LearningCurve(train, held_out, best))


class _Model(torch.nn.Module):
    """The parameters and the objective, on one set of observations."""

    def __init__(self, observed: csr_array, config: RatingFactorizationConfig) -> None:
        super().__init__()
        self._observed, self._config = observed, config
        start = fit_biases(observed)
        self._mean = start.mean
        self._target = torch.from_numpy(observed.data - np.float32(start.mean))
        self._biases = torch.nn.ParameterList(
            torch.from_numpy(bias.copy()) for bias in (start.users, start.items)
        )
        generator = torch.Generator().manual_seed(config.seed)
        n_users, n_items = observed.shape
        self._own, self._implied = (
            torch.nn.ParameterList(
                torch.randn(n, config.dimensions, generator=generator) * _INITIAL_SCALE
                for n in sizes
            )
            for sizes in ((n_users, n_items), (n_items, n_users) if config.implicit else ())
        )
        pattern = csr_array(
            (np.ones(observed.nnz, np.float32), observed.indices, observed.indptr),
            shape=observed.shape,
        )
        self._raters = _rows_by_root(pattern), _rows_by_root(pattern.T.tocsr())
        self._known = tuple(
            torch.from_numpy(np.diff(side.indptr) > 0)[:, None] for side in self._raters
        )

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(n_users, k) x and (n_items, k) y; zero where nothing is observed."""
        sums = list(self._own)
        if self._config.implicit:
            sums = [
                own + sparse_product(raters, implied)
                for own, raters, implied in zip(sums, self._raters, self._implied, strict=True)
            ]
        x, y = (total * known for total, known in zip(sums, self._known, strict=True))
        return x, y

    def squared_errors(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Sum over the observations."""
        of_users, of_items = (bias[:, None] for bias in self._biases)
        left = torch.hstack([x, of_users, torch.ones_like(of_users)])
        right = torch.hstack([y, torch.ones_like(of_items), of_items])
        return (self._target - inner_products(self._observed, left, right)).square().sum()

    def penalty(self) -> torch.Tensor:
        config = self._config
        weighted = (
            (config.regularization, self._own),
            (config.implicit_regularization, self._implied),
            (config.bias_regularization, self._biases),
        )
        sizes = [weight * table.square().sum() for weight, tables in weighted for table in tables]
        total: torch.Tensor = torch.stack(sizes).sum()
        return total

    def factors(self, x: torch.Tensor, y: torch.Tensor) -> RatingFactors:
        """A copy of what is learnt so far."""
        of_users, of_items = (bias.detach().numpy().copy() for bias in self._biases)
        low, high = float(self._observed.data.min()), float(self._observed.data.max())
        biases = Biases(self._mean, of_users, of_items)
        return RatingFactors(biases, x.detach().numpy(), y.detach().numpy(), low, high)


def _rows_by_root(pattern: csr_array) -> csr_array:
    """Each row divided by the root of its number of entries."""
    counts = np.diff(pattern.indptr)
    data = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts).astype(np.float32)
    return csr_array((data, pattern.indices, pattern.indptr), shape=pattern.shape)
