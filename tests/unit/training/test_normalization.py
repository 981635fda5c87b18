import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from training.normalization import (
    NORMALIZATIONS,
    centred,
    divided_by_average,
    unchanged,
    z_scored,
)

UTILITIES = csr_array(
    (
        np.array([1, 3, 5, 4, 4, 4, 2, 0], np.float32),
        np.array([0, 1, 2, 0, 1, 2, 1, 0]),
        np.array([0, 3, 6, 7, 7, 8]),
    ),
    shape=(5, 3),
)
"""Users: three different utilities; three equal; a single one; none; a single 0."""


@st.composite
def utility_matrices(draw: st.DrawFn) -> csr_array:
    n_users, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    cell = st.one_of(st.none(), st.floats(0, 15, width=32))
    rows = [draw(st.lists(cell, min_size=n_items, max_size=n_items)) for _ in range(n_users)]
    kept = [[(item, v) for item, v in enumerate(row) if v is not None] for row in rows]
    return csr_array(
        (
            np.array([v for row in kept for _, v in row], np.float32),
            np.array([item for row in kept for item, _ in row], np.int32),
            np.concatenate([[0], np.cumsum([len(row) for row in kept])]).astype(np.int32),
        ),
        shape=(n_users, n_items),
    )


def owners(matrix: csr_array) -> NDArray[np.int64]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


@pytest.mark.parametrize("name", NORMALIZATIONS)
@given(utilities=utility_matrices())
def test_restoring_gives_the_utilities_back(name: str, utilities: csr_array) -> None:
    normalized = NORMALIZATIONS[name](utilities)
    restored = normalized.restore(owners(utilities), normalized.matrix.data)
    np.testing.assert_allclose(restored, utilities.data, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NORMALIZATIONS)
@given(utilities=utility_matrices())
def test_the_same_pairs_stay_stored_with_finite_values(name: str, utilities: csr_array) -> None:
    matrix = NORMALIZATIONS[name](utilities).matrix
    assert matrix.nnz == utilities.nnz
    np.testing.assert_array_equal(matrix.indices, utilities.indices)
    np.testing.assert_array_equal(matrix.indptr, utilities.indptr)
    assert np.isfinite(matrix.data).all()
    assert matrix.dtype == np.float32


@given(utilities=utility_matrices())
def test_z_scores_of_a_user_have_mean_zero_and_deviation_one_or_zero(utilities: csr_array) -> None:
    matrix = z_scored(utilities).matrix
    for user in np.flatnonzero(np.diff(matrix.indptr)):
        values = matrix.data[matrix.indptr[user] : matrix.indptr[user + 1]].astype(np.float64)
        assert values.mean() == pytest.approx(0, abs=0.02)
        assert values.std() == pytest.approx(1, abs=0.02) or values.std() < 1e-3


def test_nothing_is_changed_without_normalization() -> None:
    np.testing.assert_array_equal(unchanged(UTILITIES).matrix.data, UTILITIES.data)


def test_division_by_the_average_of_the_user() -> None:
    found = divided_by_average(UTILITIES).matrix.data
    # The last user's average is 0, so the average of all, 23 / 8, divides.
    np.testing.assert_allclose(found, [1 / 3, 1, 5 / 3, 1, 1, 1, 1, 0], rtol=1e-6)
    assert divided_by_average(UTILITIES).scale[4] == pytest.approx(23 / 8)


def test_centring_stores_zeros() -> None:
    matrix = centred(UTILITIES).matrix
    np.testing.assert_allclose(matrix.data, [-2, 0, 2, 0, 0, 0, 0, 0])
    assert matrix.nnz == UTILITIES.nnz


def test_z_scores() -> None:
    found = z_scored(UTILITIES)
    deviation = (8 / 3) ** 0.5
    np.testing.assert_allclose(
        found.matrix.data, [-2 / deviation, 0, 2 / deviation, 0, 0, 0, 0, 0], rtol=1e-6
    )
    # Equal utilities and single ones are only centred.
    np.testing.assert_array_equal(found.scale[1:], 1)


@pytest.mark.parametrize("normalize", [centred, z_scored])
def test_a_user_without_utilities_is_restored_to_the_average_of_all(normalize: object) -> None:
    assert callable(normalize)
    restored = normalize(UTILITIES).restore(np.array([3]), np.array([0.0], np.float32))
    assert restored == pytest.approx(23 / 8)


def test_the_input_is_left_alone() -> None:
    before = UTILITIES.copy()
    for normalize in NORMALIZATIONS.values():
        normalize(UTILITIES)
    np.testing.assert_array_equal(UTILITIES.data, before.data)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_an_empty_matrix_is_no_error(name: str) -> None:
    assert NORMALIZATIONS[name](csr_array(np.zeros((3, 2), np.float32))).matrix.nnz == 0
