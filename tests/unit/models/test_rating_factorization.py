from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.rating_factorization import (
    RatingFactorizationConfig,
    RatingFit,
    factorize_ratings,
    select_stored,
)
from models.rating_factors import fit_biases, residuals, svd_ratings

N_USERS, N_ITEMS = 150, 80
NOISE = 0.1
CONFIG = RatingFactorizationConfig(
    dimensions=4,
    implicit=False,
    regularization=0.2,
    bias_regularization=0.2,
    learning_rate=0.05,
    epochs=120,
)


@pytest.fixture(scope="module")
def planted() -> NDArray[np.float32]:
    """(N_USERS, N_ITEMS) utilities of rank 2 above mean and biases."""
    rng = np.random.default_rng(0)
    taste = rng.standard_normal((N_USERS, 2)) @ rng.standard_normal((2, N_ITEMS))
    biases = rng.standard_normal((N_USERS, 1)) + rng.standard_normal((1, N_ITEMS))
    noise = rng.standard_normal((N_USERS, N_ITEMS)) * NOISE
    return (7 + taste + biases + noise).astype(np.float32)


@pytest.fixture(scope="module")
def observed(planted: NDArray[np.float32]) -> csr_array:
    """Four pairs of ten; the last user and the last item have none."""
    mask = np.random.default_rng(1).random(planted.shape) < 0.4
    mask[-1] = mask[:, -1] = False
    return csr_array(np.where(mask, planted, 0))


@pytest.fixture(scope="module")
def fit(observed: csr_array) -> RatingFit:
    return factorize_ratings(observed, CONFIG)


def test_held_out_utilities_are_recovered(
    planted: NDArray[np.float32], observed: csr_array, fit: RatingFit
) -> None:
    rows, columns = np.nonzero(observed.toarray()[:-1, :-1] == 0)
    errors = fit.factors.predict(rows, columns) - planted[rows, columns].clip(
        fit.factors.low, fit.factors.high
    )
    assert np.sqrt(np.square(errors).mean()) < 3 * NOISE


def test_the_inner_product_with_biases_folded_in_is_the_prediction(
    observed: csr_array, fit: RatingFit
) -> None:
    users, items = fit.factors.with_biases()
    rows, columns = observed.nonzero()
    products = fit.factors.biases.mean + (users @ items.T)[rows, columns]
    expected = fit.factors.predict(rows, columns)
    inside = (products > fit.factors.low) & (products < fit.factors.high)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(products[inside], expected[inside], rtol=1e-5)


def test_predictions_stay_in_the_range_seen(observed: csr_array, fit: RatingFit) -> None:
    users, items = np.indices(observed.shape).reshape(2, -1)
    predicted = fit.factors.predict(users, items)
    assert predicted.min() == pytest.approx(observed.data.min())
    assert predicted.max() == pytest.approx(observed.data.max())


def test_the_best_weights_are_kept_and_training_stops_soon_after(observed: csr_array) -> None:
    config = replace(CONFIG, regularization=0.0, refit=False, epochs=400, patience=5, dimensions=20)
    fit = factorize_ratings(observed, config)
    curve = fit.curve
    assert curve.best == np.argmin(curve.validation)
    assert curve.best < len(curve.validation) - 1 <= curve.best + config.patience
    assert len(curve.validation) < config.epochs
    # The weights are those of the best epoch: as good on validation as the curve says.
    drawn = np.random.default_rng(config.seed).permutation(observed.nnz)
    kept_back = np.zeros(observed.nnz, np.bool_)
    kept_back[drawn[: int(observed.nnz * config.validation_share)]] = True
    validation = select_stored(observed, kept_back)
    rows, columns = validation.nonzero()
    errors = fit.factors.predict(rows, columns) - validation.data
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(min(curve.validation), rel=1e-4)


def test_both_errors_fall(fit: RatingFit) -> None:
    for errors in (fit.curve.train, fit.curve.validation):
        assert errors[fit.curve.best] < 0.5 * errors[0]


def test_a_refit_learns_from_what_was_kept_back(observed: csr_array, fit: RatingFit) -> None:
    once = factorize_ratings(observed, replace(CONFIG, refit=False))
    assert once.curve == fit.curve
    rows, columns = observed.nonzero()

    def error(of: RatingFit) -> float:
        return float(np.square(of.factors.predict(rows, columns) - observed.data).mean())

    assert error(fit) < error(once)


def test_the_same_seed_gives_the_same_factors(observed: csr_array, fit: RatingFit) -> None:
    again, other = (factorize_ratings(observed, replace(CONFIG, seed=seed)) for seed in (0, 1))
    np.testing.assert_array_equal(again.factors.users, fit.factors.users)
    assert not np.array_equal(other.factors.users, fit.factors.users)


def test_who_is_unknown_gets_mean_and_the_other_side(fit: RatingFit) -> None:
    assert not fit.factors.users[-1].any()
    assert not fit.factors.items[-1].any()
    last = np.array([N_USERS - 1]), np.array([N_ITEMS - 1])
    assert fit.factors.predict(*last) == pytest.approx(fit.factors.biases.mean, rel=1e-5)


def test_implicit_terms_learn_from_who_rated_what() -> None:
    """Two groups of users rate only their own half of the items, and like the first third of it;
    the ratings alone are too noisy to tell."""
    rng = np.random.default_rng(0)
    group = np.arange(400) % 2
    shared = rng.random((400, 30)) < 0.1
    likes = np.where(group[:, None] == 0, 1.0, -1.0) * np.where(np.arange(30) % 2, 1, -1)
    utilities = 5 + likes + rng.standard_normal((400, 30))
    tell = (np.arange(20) % 2 == group[:, None]) & (rng.random((400, 20)) < 0.4)
    dense = np.hstack([np.where(shared, utilities, 0), np.where(tell, 5.0, 0)])
    matrix = csr_array(dense.astype(np.float32))
    rows, columns = np.nonzero(~shared)
    config = replace(CONFIG, dimensions=2, regularization=5.0, implicit_regularization=5.0)
    errors = [
        np.square(
            factorize_ratings(matrix, replace(config, implicit=implicit)).factors.predict(
                rows, columns
            )
            - (5 + likes)[rows, columns]
        ).mean()
        for implicit in (False, True)
    ]
    assert errors[1] < 0.7 * errors[0]


def test_a_stored_zero_is_an_observation() -> None:
    ends = np.array([0, 2, 4])
    parts = (np.array([0, 4, 0, 4], np.float32), np.array([0, 1, 0, 1]), ends)
    factors = factorize_ratings(csr_array(parts, shape=(2, 2)), CONFIG).factors
    assert factors.biases.mean == 2
    assert factors.low == 0
    assert factors.predict(np.array([0]), np.array([0])) < 1


def test_one_observation_is_enough_and_none_is_an_error() -> None:
    one = factorize_ratings(csr_array(np.array([[0, 3.0]], np.float32)), CONFIG)
    assert one.factors.predict(np.array([0]), np.array([1])) == pytest.approx(3.0)
    assert not one.curve.validation
    for fit in (factorize_ratings, fit_biases):
        with pytest.raises(ValueError, match="no utility is observed"):
            fit(csr_array(np.zeros((2, 2), np.float32)))


def test_biases_are_the_optimum_of_ridge_regression(observed: csr_array) -> None:
    biases = fit_biases(observed, user_shrink=20.0, item_shrink=10.0)
    left = observed.copy()
    left.data = residuals(observed, biases)
    np.testing.assert_allclose(left.sum(axis=1), 20.0 * biases.users, atol=1e-2)
    np.testing.assert_allclose(left.sum(axis=0), 10.0 * biases.items, atol=1e-2)


def test_svd_of_what_biases_leave_explains_more_than_biases(
    planted: NDArray[np.float32], observed: csr_array
) -> None:
    rows, columns = np.nonzero(observed.toarray()[:-1, :-1] == 0)

    def error(dimensions: int) -> float:
        predicted = svd_ratings(observed, dimensions).predict(rows, columns)
        return float(np.square(predicted - planted[rows, columns]).mean())

    biases_alone = error(0)
    assert error(2) < 0.9 * error(1) < 0.9 * biases_alone
