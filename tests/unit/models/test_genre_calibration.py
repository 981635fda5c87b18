import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.diversity import Composition, compose
from models.genre_calibration import GenreCalibration, genre_mix
from models.slate_rules import Groups
from tests.unit.models.slate_reference import divergence, unit_relevance


def test_an_item_is_split_among_its_genres() -> None:
    members = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    assert genre_mix(members).tolist() == [0.75, 0.25, 0]


def test_a_mix_counts_items_by_their_weights() -> None:
    members = np.array([[1, 0], [0, 1]], bool)
    assert genre_mix(members, np.array([3, 1], np.float32)).tolist() == [0.75, 0.25]


@pytest.mark.parametrize("weights", [None, np.zeros(2, np.float32)])
def test_no_genres_make_no_mix(
    weights: NDArray[np.float32] | None,
) -> None:
    assert genre_mix(np.zeros((2, 3), bool), weights).tolist() == [0, 0, 0]
    assert genre_mix(np.empty((0, 3), bool)).tolist() == [0, 0, 0]


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 10_000))
def test_gains_are_divergences_but_for_a_constant(n: int, genres: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    members = rng.random((n, genres)) < 0.4
    target = genre_mix(rng.random((20, genres)) < 0.4)
    pool = int(rng.integers(1, n + 1))
    calibration = GenreCalibration(target, members, pool)
    taken: list[int] = []
    for position in rng.permutation(n)[:5].tolist():
        expected = [-divergence(target, members[[*taken, other]]) for other in range(pool)]
        offset = calibration.of_pool() - np.array(expected)
        np.testing.assert_allclose(offset, offset[0], atol=2e-4)
        calibration.put(position)
        taken.append(position)


@given(st.integers(2, 40), st.sampled_from([0.2, 0.6, 1.0]), st.integers(0, 10_000))
def test_each_choice_is_the_best_by_the_definition(n: int, weight: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.sort(rng.normal(size=n).astype(np.float32))[::-1]
    members = rng.random((n, 5)) < 0.3
    target = genre_mix(rng.random((20, 5)) < 0.3)
    found = compose(
        scores,
        lambda positions: np.zeros((len(positions), 2), np.float32),
        8,
        Composition(calibration=weight),
        groups=Groups(members),
        target=target,
    ).positions.tolist()
    relevance = unit_relevance(scores)
    for place, chosen in enumerate(found):
        gains = {
            other: (1 - weight) * relevance[other]
            - weight * divergence(target, members[[*found[:place], other]])
            for other in range(n)
            if other not in found[:place]
        }
        assert gains[chosen] >= max(gains.values()) - 2e-4


def test_calibration_brings_in_a_genre_of_the_user_that_ranks_low() -> None:
    scores = np.linspace(1, 0, 20, dtype=np.float32)
    members = np.zeros((20, 2), bool)
    members[:15, 0] = members[15:, 1] = True
    target = np.array([0.5, 0.5], np.float32)

    def of_each(weight: float) -> list[int]:
        slate = compose(
            scores,
            lambda positions: np.zeros((len(positions), 1), np.float32),
            8,
            Composition(calibration=weight),
            groups=Groups(members),
            target=target,
        )
        counts: list[int] = members[slate.positions].sum(axis=0).tolist()
        return counts

    assert of_each(0.0) == [8, 0]
    assert of_each(0.8) == [6, 2]
    assert of_each(1.0) == [4, 4]
