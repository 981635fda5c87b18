import numpy as np
import pytest
from scipy.sparse import csr_array

from models.matrix_factorization import FactorizationConfig, Factors, FoldIn, factorize

CONFIG = FactorizationConfig(dimensions=4, steps=300, seed=3)


@pytest.fixture(scope="module")
def blocks() -> csr_array:
    """Two groups of users, each with its own half of the items; a fifth is missing."""
    rng = np.random.default_rng(1)
    dense = np.zeros((60, 20))
    dense[:30, :10] = dense[30:, 10:] = 3.0
    dense[rng.random(dense.shape) < 0.2] = 0
    return csr_array(dense)


@pytest.fixture(scope="module")
def factors(blocks: csr_array) -> Factors:
    return factorize(blocks, CONFIG)


def test_the_loss_falls_to_a_fraction(factors: Factors) -> None:
    assert factors.losses[-1] < 0.5 * factors.losses[0]


def test_missing_items_of_the_own_group_score_far_above_the_others(factors: Factors) -> None:
    scores = factors.users @ factors.items.T
    assert scores[:30, :10].min() > 0.5
    assert scores[:30, 10:].max() < 0.3


def test_folding_in_a_trained_user_gives_the_trained_vector(
    blocks: csr_array, factors: Factors
) -> None:
    fold_in = FoldIn(factors.items, CONFIG)
    for user in (0, 45):
        begin, end = blocks.indptr[user], blocks.indptr[user + 1]
        weights = 1 + CONFIG.utility_weight * blocks.data[begin:end]
        found = fold_in.user_vector(blocks.indices[begin:end], weights.astype(np.float32))
        np.testing.assert_allclose(found, factors.users[user], atol=0.02)


def test_the_same_seed_gives_the_same_vectors(blocks: csr_array, factors: Factors) -> None:
    np.testing.assert_array_equal(factorize(blocks, CONFIG).items, factors.items)


def test_items_without_observations_have_no_vector() -> None:
    dense = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert not factorize(csr_array(dense), CONFIG).items[1].any()
