from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import least_squares
from models.least_squares import solve_rows
from models.matrix_factorization import (
    ALTERNATING,
    FactorizationConfig,
    Factors,
    FoldIn,
    factorize,
    fit_ials,
)
from models.sparse_products import inner_products, sparse_product

CONFIG = FactorizationConfig(
    dimensions=5,
    steps=12,
    unobserved_weight=0.1,
    regularization=0.05,
    frequency_exponent=1.0,
    solver=ALTERNATING,
)


@pytest.fixture(scope="module")
def utilities() -> csr_array:
    """Rows of all lengths; the last user and the last item have no observation."""
    rng = np.random.default_rng(0)
    dense = rng.integers(1, 6, (60, 40)) * (rng.random((60, 40)) < rng.random((60, 1)) * 0.6)
    dense[-1] = 0
    dense[:, -1] = 0
    return csr_array(dense.astype(np.float32))


@pytest.fixture(scope="module")
def factors(utilities: csr_array) -> Factors:
    return fit_ials(utilities, CONFIG)


def objective(
    x: NDArray[np.float64], y: NDArray[np.float64], utilities: csr_array, c: FactorizationConfig
) -> float:
    """The objective, pair by pair, as the module writes it down."""
    dense = utilities.toarray().astype(np.float64)
    weights = np.where(dense > 0, 1 + c.utility_weight * dense, 0)
    products = x @ y.T
    penalties = [
        c.regularization
        * (weights.sum(axis=axis) + c.unobserved_weight * opposite) ** c.frequency_exponent
        for axis, opposite in ((1, len(y)), (0, len(x)))
    ]
    return float(
        (weights * (1 - products) ** 2).sum()
        + c.unobserved_weight * (products**2).sum()
        + penalties[0] @ (x**2).sum(axis=1)
        + penalties[1] @ (y**2).sum(axis=1)
    )


def test_no_sweep_raises_the_objective(factors: Factors) -> None:
    assert (np.diff(factors.losses) <= 1e-6).all()
    assert factors.losses[-1] < 0.9 * factors.losses[0]


def test_the_loss_reported_is_the_objective(utilities: csr_array, factors: Factors) -> None:
    x, y = (table.astype(np.float64) for table in (factors.users, factors.items))
    found = objective(x, y, utilities, CONFIG) / utilities.nnz
    # The users were solved once more, which can only lower it.
    assert factors.losses[-1] * 0.99 < found <= factors.losses[-1] * (1 + 1e-5)


def test_no_direction_from_a_user_vector_lowers_the_objective(
    utilities: csr_array, factors: Factors
) -> None:
    y = factors.items.astype(np.float64)
    best = objective(factors.users.astype(np.float64), y, utilities, CONFIG)
    rng = np.random.default_rng(1)
    for _ in range(20):
        moved = factors.users + 0.02 * rng.standard_normal(factors.users.shape)
        assert objective(moved, y, utilities, CONFIG) > best


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_folding_in_a_user_gives_the_trained_vector(utilities: csr_array, exponent: float) -> None:
    config = replace(CONFIG, frequency_exponent=exponent)
    factors = fit_ials(utilities, config)
    fold_in = FoldIn(factors.items, config)
    weights = config.weigh(utilities)
    for user in range(utilities.shape[0]):
        part = slice(utilities.indptr[user], utilities.indptr[user + 1])
        found = fold_in.user_vector(utilities.indices[part], weights.data[part])
        np.testing.assert_allclose(found, factors.users[user], atol=1e-4)


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_gradient_descent_reaches_the_same_objective(utilities: csr_array, exponent: float) -> None:
    config = replace(CONFIG, frequency_exponent=exponent, steps=60)
    descent = replace(config, solver="gradient", steps=600, learning_rate=0.03)
    alternating = factorize(utilities, config)
    assert factorize(utilities, descent).losses[-1] == pytest.approx(
        alternating.losses[-1], rel=0.02
    )


def test_who_has_no_observation_has_no_vector(factors: Factors) -> None:
    assert not factors.users[-1].any()
    assert not factors.items[-1].any()


def test_the_same_seed_gives_the_same_vectors(utilities: csr_array, factors: Factors) -> None:
    np.testing.assert_array_equal(fit_ials(utilities, CONFIG).items, factors.items)


def test_steps_are_reported(utilities: csr_array) -> None:
    told: list[int] = []
    factorize(utilities, replace(CONFIG, steps=3), told.append)
    assert told == [1, 2, 3]


def test_an_unknown_solver_is_named(utilities: csr_array) -> None:
    with pytest.raises(ValueError, match="'newton'"):
        factorize(utilities, replace(CONFIG, solver="newton"))


@pytest.mark.parametrize("entries", [1, 50, 1 << 14])
def test_blocks_of_any_size_solve_the_normal_equations(
    utilities: csr_array, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(least_squares, "_BLOCK_ENTRIES", entries)
    rng = np.random.default_rng(2)
    other = rng.standard_normal((40, 5)).astype(np.float32)
    penalties = rng.uniform(0.5, 2, 60).astype(np.float32)
    found = solve_rows(utilities, other, unobserved_weight=0.3, penalties=penalties)
    for user, row in enumerate(utilities.toarray()):
        system = 0.3 * other.T @ other + other.T @ (row[:, None] * other)
        expected = np.linalg.solve(system + penalties[user] * np.eye(5), other.T @ row)
        np.testing.assert_allclose(found[user], expected, atol=1e-4)


def test_gradients_of_sparse_products_are_those_of_dense_ones(utilities: csr_array) -> None:
    torch.manual_seed(0)
    x, y = (torch.randn(n, 3, requires_grad=True) for n in utilities.shape)
    dense = torch.from_numpy(utilities.toarray())
    stored = dense != 0
    sparse = inner_products(utilities, x, y).exp().sum() + sparse_product(utilities, y).sin().sum()
    wanted = (x @ y.T)[stored].exp().sum() + (dense @ y).sin().sum()
    torch.testing.assert_close(sparse, wanted)
    for found, expected in zip(
        torch.autograd.grad(sparse, [x, y]), torch.autograd.grad(wanted, [x, y]), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
