import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.diversity import mmr, pool_size

Floats = NDArray[np.float32]


def marginal_relevance(
    scores: Floats, vectors: Floats, weight: float, taken: list[int]
) -> NDArray[np.float64]:
    """By definition, from scratch, in double precision; no candidate is nearer than a right angle
    to nothing."""
    pool = scores[: len(vectors)].astype(np.float64)
    relevance = (pool - pool.min()) / max(pool.max() - pool.min(), 1e-12)
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = [max([float(each @ unit[j]) for j in taken] + [0.0]) for each in unit]
    marginal: NDArray[np.float64] = (1 - weight) * relevance - weight * np.array(nearest)
    marginal[taken] = -np.inf
    return marginal


@given(
    st.integers(2, 70),
    st.integers(2, 15),
    st.sampled_from([0.05, 0.3, 0.7, 1.0]),
    st.integers(0, 10_000),
)
def test_each_choice_is_the_best_by_the_definition(
    n: int, count: int, weight: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = np.sort(rng.normal(size=n).astype(np.float32))[::-1]
    vectors = rng.normal(size=(min(n, pool_size(count)), 4)).astype(np.float32)
    found = mmr(scores, vectors, weight, count).tolist()
    assert len(set(found)) == len(found) == min(n, count)
    for place, chosen in enumerate(found):
        marginal = marginal_relevance(scores, vectors, weight, found[:place])
        assert marginal[chosen] >= marginal.max() - 1e-5  # float32 may tell equals apart


@given(st.integers(0, 60), st.integers(0, 20))
def test_without_weight_the_order_stays(n: int, count: int) -> None:
    vectors = np.ones((min(n, pool_size(count)), 2), np.float32)
    scores = np.arange(n, 0, -1).astype(np.float32)
    assert mmr(scores, vectors, 0.0, count).tolist() == list(range(min(n, count)))


def test_a_copy_of_the_best_gives_way_to_something_else() -> None:
    scores = np.array([1.0, 0.99, 0.9, 0.0], np.float32)
    vectors = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    assert mmr(scores, vectors, 0.3, 3).tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    "scores",
    [
        [np.inf, 2.0, 1.0, -np.inf],
        [np.inf, np.inf, -np.inf, -np.inf],
        [2.0, 1.0, -np.inf, -np.inf],
    ],
)
def test_infinite_scores_go_to_the_ends(scores: list[float]) -> None:
    vectors = np.eye(4, dtype=np.float32)
    assert mmr(np.array(scores, np.float32), vectors, 0.2, 4).tolist() == [0, 1, 2, 3]


def test_vectors_of_length_zero_are_like_nothing() -> None:
    scores = np.array([3.0, 2.0, 1.0], np.float32)
    assert mmr(scores, np.zeros((3, 4), np.float32), 0.5, 3).tolist() == [0, 1, 2]
