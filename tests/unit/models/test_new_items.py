"""Vectors and scores of items that came after a release."""

import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bench.random_release import clicked, write_random_release
from models.evidence import Evidence, FactorEvidence, GenreEvidence, ItemPrior, ItemToItem
from models.final_score import FinalScorer
from models.matrix_factorization import FactorizationConfig, FoldIn
from models.metadata import genre_vectors
from models.new_items import Extended, Likes, NewItemVectors, extended_scorer
from models.scorer import TwoTowerScorer

N = 40


@dataclass(frozen=True)
class Item:
    genres: tuple[str, ...]
    year: int


@pytest.fixture
def towers(tmp_path: Path) -> TwoTowerScorer:
    return TwoTowerScorer(write_random_release(tmp_path, N, dimensions=16, seed=3))


def items(count: int) -> tuple[Item, ...]:
    return tuple(Item(("comedy", "drama")[n % 2 :], 1950 + n % 70) for n in range(count))


@pytest.fixture
def scorer(towers: TwoTowerScorer) -> FinalScorer:
    rng = np.random.default_rng(5)
    near = rng.integers(0, N, (N, 6)).astype(np.int32)
    factors = rng.normal(size=(N, 3)).astype(np.float32)
    evidence: list[Evidence] = [
        ItemToItem("transitions", near, rng.random((N, 6)).astype(np.float32), 0.8, 1e-3),
        FactorEvidence(factors, FoldIn(factors, FactorizationConfig()), 5.0),
        ItemPrior("popularity", rng.random(N).astype(np.float32)),
        GenreEvidence(genre_vectors([("comedy",), ("drama",)] * (N // 2)), np.zeros(2, "f4")),
    ]
    weights = {"towers": 1.0, "transitions": 2.0, "factors": 1.0, "popularity": 1.0, "genres": 3.0}
    return FinalScorer(towers, evidence, weights)


def test_vectors_are_the_same_bits_whatever_was_known_when(towers: TwoTowerScorer) -> None:
    at_once = NewItemVectors(towers).of(items(600))
    bit_by_bit = NewItemVectors(towers)
    for count in (1, 2, 255, 256, 300, 600):
        np.testing.assert_array_equal(bit_by_bit.of(items(count)), at_once[:count])
    years = np.array([item.year for item in items(600)], np.int16)
    expected = towers.new_item_vectors([item.genres for item in items(600)], years)
    np.testing.assert_allclose(at_once, expected, rtol=1e-4, atol=1e-5)


def test_equal_items_are_not_computed_again(towers: TwoTowerScorer) -> None:
    vectors = NewItemVectors(towers)
    some = items(5)
    assert vectors.of(some) is vectors.of(some)


def test_an_extended_column_answers_for_both_kinds_of_rows() -> None:
    column = Extended(np.arange(4, dtype=np.float32), np.array([10, 11], np.float32))
    assert column.shape == (6,)
    assert column[np.array([5, 0, 4, 3], np.int32)].tolist() == [11, 0, 10, 3]
    assert column[np.array([2], np.int32)].tolist() == [2]


def test_likes_are_the_nearest_directions_and_only_changes_are_compared(
    towers: TwoTowerScorer,
) -> None:
    likes, vectors = Likes(towers.item_vectors, count=3), NewItemVectors(towers)
    known = np.asarray(towers.item_vectors[:, :-2])
    known = known / np.linalg.norm(known, axis=1, keepdims=True)
    for count in (2, 20):
        new = vectors.of(items(count))
        expected = np.argsort(-(new[:, :-2] @ known.T), axis=1, kind="stable")[:, :3]
        assert likes.of(new).tolist() == expected.tolist()


def test_of_items_that_are_equally_like_a_new_one_the_first_are_kept() -> None:
    rng = np.random.default_rng(0)
    known = np.zeros((20_000, 4), np.float32)
    known[:, :2] = rng.integers(-1, 2, (len(known), 2))
    new = np.zeros((600, 4), np.float32)
    new[:, :2] = [[1, 0], [0, 1], [-1, 0]] * 200
    rows = Likes(known, count=7).of(new)
    for place in (0, 1, 2, 599):
        length = np.maximum(np.hypot(known[:, 0], known[:, 1]), 1e-12)
        cosines = known[:, :2] @ new[place, :2] / length
        assert rows[place].tolist() == np.argsort(-cosines, kind="stable")[:7].tolist()


def test_comparing_many_new_items_takes_bounded_memory() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=(20_000, 10)).astype(np.float32)
    new = rng.normal(size=(1_500, 10)).astype(np.float32)
    tracemalloc.start()
    try:
        assert Likes(known).of(new).shape == (1_500, 10)
        assert tracemalloc.get_traced_memory()[1] < 100e6  # all at once would take 400 MB
    finally:
        tracemalloc.stop()


def test_a_new_item_has_parts_of_its_own_and_otherwise_those_of_its_likes(
    scorer: FinalScorer,
) -> None:
    new = NewItemVectors(scorer.towers).of(items(7))
    genres = genre_vectors([item.genres for item in items(7)], ["comedy", "drama"])
    likes = Likes(scorer.towers.item_vectors, count=4).of(new)
    extended = extended_scorer(scorer, new, genres, likes)
    user, rows = clicked(3, 9, 11), np.array([N + 2, 4, N + 6, 0], np.int32)
    parts = dict(zip(extended.names, extended.parts(user, rows), strict=True))
    before = dict(zip(scorer.names, scorer.parts(user, rows[[1, 3]]), strict=True))
    for name, values in parts.items():
        np.testing.assert_allclose(values[[1, 3]], before[name], rtol=1e-5)
        assert np.isfinite(values).all()
    liked = dict(zip(scorer.names, scorer.parts(user, likes[6]), strict=True))
    for name in ("transitions", "factors"):
        assert parts[name][2] == pytest.approx(liked[name].mean(), rel=1e-5)
    assert parts["towers"][2] == pytest.approx(new[6] @ scorer.towers.user_vector(user), rel=1e-4)
    assert parts["popularity"][2] == pytest.approx(np.logaddexp(new[6, -1], 0), rel=1e-5)
    both, drama = parts["genres"][2], extended.parts(user, np.array([N + 1], np.int32))[-1][0]
    assert both != drama  # the user's genres are uneven, and the items' differ
