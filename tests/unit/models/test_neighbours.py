from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.neighbours import (
    METRICS,
    MISSING,
    NeighbourError,
    Neighbours,
    item_neighbours,
    item_scores,
    search,
    top_rows,
    user_neighbours,
    user_scores,
)
from tests.unit.models.neighbour_reference import Dense, item_similarity, user_similarity

NAN = np.nan
COMBINATIONS = [(metric, missing) for metric in METRICS for missing in MISSING]
SIDES = [(item_neighbours, item_similarity), (user_neighbours, user_similarity)]

combinations = pytest.mark.parametrize(("metric", "missing"), COMBINATIONS)
both_sides = pytest.mark.parametrize(("find", "reference"), SIDES, ids=["items", "users"])
Find = Callable[..., Neighbours]
Reference = Callable[..., Dense]


def sparse(ratings: Dense) -> csr_array:
    rows, columns = np.nonzero(~np.isnan(ratings))
    return csr_array((ratings[rows, columns], (rows, columns)), shape=ratings.shape)


def found_matrix(found: Neighbours, n: int) -> NDArray[np.float64]:
    return found.matrix(n).toarray().astype(np.float64)


def ratings_of(seed: int, users: int, items: int, density: float, values: str) -> Dense:
    rng = np.random.default_rng(seed)
    if values == "stars":
        ratings = rng.integers(1, 11, (users, items)) / 2
    else:
        ratings = rng.uniform(0.1, 15, (users, items))
    return np.where(rng.random((users, items)) < density, ratings, NAN)


AWKWARD = np.array(
    [  # constant, constant but for one, empty, one rater, twins, twins but for one rater
        [3.0, 3.0, NAN, NAN, 1.0, 1.0, 1.0],
        [3.0, 3.0, NAN, NAN, 4.0, 4.0, 4.0],
        [3.0, 2.5, NAN, 5.0, 2.5, 2.5, NAN],
        [NAN, NAN, NAN, NAN, NAN, NAN, NAN],
        [3.0, NAN, NAN, NAN, 0.5, 0.5, 0.5],
    ]
)


@combinations
@both_sides
@example(AWKWARD, 0.0, 0)
@example(AWKWARD, 0.0, 1)
@example(AWKWARD.T, 5.0, 2)
@given(
    ratings=st.builds(
        ratings_of,
        seed=st.integers(0, 1 << 30),
        users=st.integers(1, 9),
        items=st.integers(1, 7),
        density=st.floats(0, 1),
        values=st.sampled_from(["stars", "any"]),
    ),
    shrink=st.sampled_from([0.0, 0.5, 20.0]),
    min_support=st.integers(0, 3),
)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_every_combination_equals_its_definition(
    find: Find,
    reference: Reference,
    metric: str,
    missing: str,
    ratings: Dense,
    shrink: float,
    min_support: int,
) -> None:
    if min_support == 0 and shrink > 0:
        min_support = 1  # N / (N + shrink) is 0 without a common rater: the same
    expected = reference(ratings, metric, missing, shrink, min_support)
    found = find(
        sparse(ratings), metric=metric, missing=missing, shrink=shrink, min_support=min_support
    )
    # Only a positive similarity makes a neighbour; one of rounding size may be either.
    np.testing.assert_allclose(
        found_matrix(found, len(expected)), np.maximum(expected, 0), rtol=1e-6, atol=1e-6
    )


@combinations
@both_sides
def test_blocks_and_the_number_kept_change_nothing(
    find: Find, reference: Reference, metric: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratings = ratings_of(7, 30, 23, 0.4, "stars")
    expected = reference(ratings, metric, missing, shrink=3.0)
    monkeypatch.setattr(search, "_BLOCK_CELLS", 100)  # a few rows a block
    found = find(sparse(ratings), metric=metric, missing=missing, shrink=3.0, m=4)
    best = -np.sort(-np.maximum(expected, 0), axis=1)[:, :4]
    np.testing.assert_allclose(found.scores, best, rtol=1e-6, atol=1e-6)
    for row, columns in enumerate(found.rows):
        real = columns[columns >= 0]
        np.testing.assert_allclose(expected[row, real], best[row, : len(real)], atol=1e-6)


@both_sides
def test_some_may_be_asked_about_alone(find: Find, reference: Reference) -> None:
    utility = sparse(ratings_of(3, 12, 12, 0.5, "stars"))
    for metric, missing in COMBINATIONS:
        everything = find(utility, metric=metric, missing=missing, m=5)
        some = find(utility, metric=metric, missing=missing, m=5, of=np.array([7, 2]))
        np.testing.assert_array_equal(some.rows, everything.rows[[7, 2]])
        np.testing.assert_array_equal(some.scores, everything.scores[[7, 2]])


def test_histories_of_others_are_compared_with_the_known_users() -> None:
    ratings = ratings_of(5, 10, 8, 0.6, "any")
    for metric, missing in COMBINATIONS:
        if missing == "item_average":
            continue  # known users' averages only, so the last row must not count
        expected = user_similarity(ratings, metric, missing)[-1, :-1]
        found = user_neighbours(
            sparse(ratings[:-1]),
            metric=metric,
            missing=missing,
            shrink=0.0,
            histories=sparse(ratings[-1:]),
        )
        np.testing.assert_allclose(
            found_matrix(found, 9)[0], np.maximum(expected, 0), rtol=1e-6, atol=1e-6
        )


def test_item_averages_of_others_histories_are_those_of_the_known_users() -> None:
    known = np.array([[4.0, 2.0, NAN], [2.0, NAN, 5.0]])
    # Filled in with 3, 2 and 5: the history is (1, 2, 5), the known users (4, 2, 5) and (2, 2, 5).
    found = user_neighbours(
        sparse(known),
        metric="euclidean",
        missing="item_average",
        shrink=0.0,
        histories=sparse(np.array([[1.0, NAN, NAN]])),
    )
    assert found.rows.tolist() == [[1, 0]]
    np.testing.assert_allclose(found.scores, [[1 / 2, 1 / 4]])


def test_infinity_leaves_only_things_with_the_very_same_raters() -> None:
    ratings = np.array([[4.0, 4.0, 4.0, NAN], [2.0, 2.0, NAN, 2.0]])
    for metric in METRICS:
        found = item_neighbours(sparse(ratings), metric=metric, missing="infinity", shrink=0.0)
        assert [row[row >= 0].tolist() for row in found.rows] == [[1], [0], [], []]


def test_equal_similarities_come_in_the_order_of_rows() -> None:
    found = item_neighbours(csr_array(np.full((3, 6), 2.0)), shrink=0.0, m=3)
    assert found.rows.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], *[[0, 1, 2]] * 3]


def test_an_item_nobody_had_has_no_neighbours() -> None:
    found = item_neighbours(csr_array(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])), m=2)
    assert found.rows.tolist() == [[1, -1], [0, -1], [-1, -1]]
    assert found.scores[2].tolist() == [0.0, 0.0]


def test_a_stored_zero_is_a_rating() -> None:
    zero = csr_array((np.array([0.0, 0.0]), ([0, 0], [0, 1])), shape=(1, 3))
    found = item_neighbours(zero, metric="euclidean", missing="ignore", shrink=0.0)
    assert found.rows[:, 0].tolist() == [1, 0, -1]


def test_unknown_names_are_refused() -> None:
    utility = csr_array(np.ones((2, 2)))
    for find in (item_neighbours, user_neighbours):
        with pytest.raises(NeighbourError, match=r"^metric: 'nope' is not one of"):
            find(utility, metric="nope")
        with pytest.raises(NeighbourError, match=r"^missing: 'nope' is not one of"):
            find(utility, missing="nope")


def test_sums_that_cancel_out_are_still_sums() -> None:
    utility = csr_array(np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 1.0], [2.0, -1.0]]))
    found = user_neighbours(utility, metric="euclidean", missing="ignore", shrink=0.0, m=3)
    assert found.rows[0].tolist() == [2, 1, 3]  # the product with row 1 is 0
    np.testing.assert_allclose(found.scores[0], [1, 1 / 3, 1 / (1 + 5**0.5)], rtol=1e-6)


def test_top_rows_keeps_only_what_is_positive_and_pads() -> None:
    scores = np.array([[0.5, -1.0, 0.5, 0.9], [0.0, 0.0, 0.0, 0.1]], dtype=np.float32)
    columns, values = top_rows(scores, 2)
    assert columns.tolist() == [[3, 0], [3, -1]]
    np.testing.assert_allclose(values, [[0.9, 0.5], [0.1, 0.0]])
    assert top_rows(scores, 5)[0].tolist() == [[3, 0, 2, -1, -1], [3, -1, -1, -1, -1]]


def test_items_are_scored_by_their_neighbours_in_the_history() -> None:
    near = Neighbours(
        np.array([[1, 2], [2, -1], [0, -1]], np.int32),
        np.array([[0.5, 0.25], [1.0, 0.0], [0.1, 0.0]], np.float32),
    )
    histories = csr_array(np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0]]))
    np.testing.assert_allclose(item_scores(histories, near), [[0.5, 0, 0.2], [0.75, 3, 0]])


def test_items_are_scored_by_what_near_users_got_out_of_them() -> None:
    near = Neighbours(np.array([[1, 2]], np.int32), np.array([[0.5, 0.25]], np.float32))
    utility = csr_array(np.array([[9.0, 9.0], [4.0, 0.0], [4.0, 8.0]]))
    np.testing.assert_allclose(user_scores(near, utility), [[3, 2]])
