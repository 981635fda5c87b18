import numpy as np
import pytest
from scipy.sparse import csr_array

from models.truncated_svd import truncated_svd


@pytest.fixture(scope="module", params=[(80, 50), (50, 80)])
def matrix(request: pytest.FixtureRequest) -> csr_array:
    rng = np.random.default_rng(0)
    dense = rng.standard_normal(request.param)
    return csr_array(np.where(rng.random(request.param) < 0.2, dense, 0).astype(np.float32))


def test_the_singular_values_are_those_of_exact_svd(matrix: csr_array) -> None:
    exact = np.linalg.svd(matrix.toarray(), compute_uv=False)
    np.testing.assert_allclose(truncated_svd(matrix, 5, seed=0).values, exact[:5], rtol=1e-3)


def test_truncation_is_as_good_as_exact_svd(matrix: csr_array) -> None:
    left, right = truncated_svd(matrix, 5, seed=0).split(5)
    exact = np.linalg.svd(matrix.toarray(), compute_uv=False)
    error = np.linalg.norm(matrix.toarray() - left @ right.T)
    assert error < 1.001 * np.linalg.norm(exact[5:])


def test_vectors_are_orthonormal(matrix: csr_array) -> None:
    found = truncated_svd(matrix, 5, seed=0)
    for vectors in (found.left, found.right):
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(5), atol=1e-5)


def test_dimensions_beyond_the_rank_are_zero() -> None:
    matrix = csr_array(np.array([[1, 2, 3], [2, 4, 6]], np.float32))
    left, right = truncated_svd(matrix, 6, seed=0).split(6)
    assert left.shape == (2, 6)
    assert right.shape == (3, 6)
    assert not left[:, 2:].any()
    np.testing.assert_allclose(left @ right.T, matrix.toarray(), atol=1e-5)
