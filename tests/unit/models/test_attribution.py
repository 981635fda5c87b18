"""Causes of items, against the score worked out again for each history with one item left out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.random_release import clicked, write_random_release
from models.attribution import LEFT_OUT, MOST_CAUSES, attribute
from models.events import NEGATIVE, EventKind
from models.evidence import (
    EvidenceConfig,
    EvidenceTables,
    ItemToItem,
    Known,
    evidence_parts,
    taste_of,
)
from models.features import pad_histories
from models.final_score import DEFAULT_WEIGHTS, FinalScorer
from models.history import Surroundings, UserHistory, WeightedRows
from models.matrix_factorization import FactorizationConfig, FoldIn
from models.metadata import genre_vectors
from models.neighbours import Neighbours
from models.new_items import Likes, NewItemVectors, extended_scorer
from models.scorer import TwoTowerScorer
from models.tastes import Tastes
from services.common.live_items import LiveItem

N = 90
GENRES = ["comedy", "drama"]
ALL = np.arange(N, dtype=np.int32)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> FinalScorer:
    """Of all parts, with random tables."""
    towers = TwoTowerScorer(write_random_release(tmp_path_factory.mktemp("r"), N, 16, seed=3))
    rng = np.random.default_rng(5)
    factors = rng.normal(size=(N, 6)).astype(np.float32)
    of_items = [("comedy",), ("drama",), ("comedy", "drama")] * (N // 3)
    tables = EvidenceTables(
        transitions=_near(rng, 6, 0.1),
        ease=_near(rng, 9, 0.3),
        factors=factors,
        fold_in=FoldIn(factors, FactorizationConfig(frequency_exponent=1.0)),
        genres=genre_vectors(of_items, GENRES),
        popularity=np.log(np.arange(N) + 1e-6).astype(np.float32),
    )
    return FinalScorer(towers, evidence_parts(tables, EvidenceConfig()), DEFAULT_WEIGHTS)


@pytest.fixture(scope="module")
def extended(scorer: FinalScorer) -> FinalScorer:
    """The same with five items that came later."""
    items = [LiveItem(f"new-{n}", genres=(GENRES[n % 2],), year=1990 + n) for n in range(5)]
    vectors = NewItemVectors(scorer.towers).of(items)
    likes = Likes(scorer.towers.item_vectors, count=4).of(vectors)
    genres = genre_vectors([item.genres for item in items], GENRES)
    return extended_scorer(scorer, vectors, genres, likes)


def _near(rng: np.random.Generator, count: int, scale: float) -> Neighbours:
    rows = np.stack([rng.choice(N, count, replace=False) for _ in range(N)]).astype(np.int32)
    scores = scale * rng.random((N, count), dtype=np.float32) + np.float32(1e-3)
    rows[::7, -2:], scores[::7, -2:] = -1, 0
    return Neighbours(rows, scores)


def user_of(events: list[tuple[int, int]], seed: int = 0) -> UserHistory:
    """A user with events, each an item and a kind, minutes to days apart, and surroundings."""
    rng = np.random.default_rng(seed)
    kinds = np.array([kind for _, kind in events], np.int8)
    some = rng.choice(N, 9, replace=False).astype(np.int32)
    weights = np.sort(rng.random(9, dtype=np.float32))[::-1].copy()
    return UserHistory(
        rows=np.array([row for row, _ in events], np.int32),
        kinds=kinds,
        ages=np.cumsum(rng.exponential(9_000, len(events)))[::-1].astype(np.float32),
        values=np.where(np.isin(kinds, [1, 9]), 3, 0).astype(np.float32),
        time=1.7e9,
        around=Surroundings(WeightedRows(some, weights), WeightedRows(some[3:], weights[3:])),
    )


def falls(
    scorer: FinalScorer, user: UserHistory, rows: NDArray[np.int32]
) -> dict[int, NDArray[np.float32]]:
    """By item of taste, (r,) how far scores fall without it, one history at a time."""
    whole = scorer.score(user, rows)
    found = {}
    for row in set(taste_of(user)[:100].tolist()):
        kept = [at for at in range(len(user.rows)) if user.rows[at] != row]
        without = UserHistory(
            user.rows[kept],
            user.kinds[kept],
            user.ages[kept],
            user.values[kept],
            user.time,
            around=user.around,
        )
        found[row] = whole - scorer.score(without, rows)
    return found


def some_events(seed: int) -> list[tuple[int, int]]:
    """None to seventy, of all kinds, on thirty items, often several in a row on one."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(71)) if seed else 0
    rows = np.repeat(rng.integers(0, 30, count), rng.integers(1, 4, count))[:count]
    return list(zip(rows.tolist(), rng.integers(1, 12, count).tolist(), strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_causes_are_those_without_which_the_score_falls_most(
    extended: FinalScorer, seed: int
) -> None:
    asked = np.random.default_rng(seed).integers(0, N + 5, 8).astype(np.int32)
    user = user_of(some_events(seed), seed)
    found, expected = attribute(extended, user, asked), falls(extended, user, asked)
    for at, (causes, drops) in enumerate(zip(found.causes.tolist(), found.drops, strict=True)):
        best = sorted((fall[at] for fall in expected.values() if fall[at] > 0), reverse=True)
        named = [row for row in causes if row >= 0]
        assert len(set(named)) == len(named)
        assert causes == named + [-1] * (MOST_CAUSES - len(named))
        for row, drop in zip(named, drops, strict=False):
            assert drop == pytest.approx(expected[row][at], rel=1e-3, abs=2e-4)
        wanted = [fall for fall in best[:MOST_CAUSES] if fall > 2e-4]
        np.testing.assert_allclose(drops[: len(wanted)], wanted, rtol=1e-3, atol=2e-4)
        assert not drops[len(named) :].any()


def test_every_part_says_the_same_of_many_histories_as_of_each(extended: FinalScorer) -> None:
    around = user_of([]).around
    users = [replace(user_of(some_events(seed), seed), around=around) for seed in range(9)]
    batch, rows = pad_histories(users, 100), np.arange(N + 5, dtype=np.int32)[::3]
    together = extended.across(batch, rows)
    for at, user in enumerate(users):
        apart = extended.parts(user, rows)
        np.testing.assert_allclose(together[at], apart.sum(axis=0), rtol=1e-4, atol=2e-4)
    for place, part in enumerate(extended.evidence, start=1):
        scores = part.scores(Tastes(batch.rows), around, rows)
        assert scores.shape == (len(users), len(rows)) and scores.dtype == np.float32
        for at, user in enumerate(users):
            expected = extended.parts(user, rows)[place]
            np.testing.assert_allclose(
                scores[at] * extended.weights[part.name], expected, rtol=1e-4, atol=1e-4
            )


def test_all_events_of_an_item_are_left_out_together(scorer: FinalScorer) -> None:
    """Also those of before and of negative kinds; what they stood between then follows on."""
    kinds = [EventKind.VIEW, EventKind.CLICK, EventKind.LIKE, EventKind.HIDE, EventKind.WATCH]
    events = [(4, 2), (9, 2), *((7, int(kind)) for kind in kinds), (9, 3), (7, 4)]
    user = user_of(events)
    without = user.without(7)
    assert without.rows.tolist() == [4, 9, 9]
    assert without.kinds.tolist() == [2, 2, 3]
    assert taste_of(without).tolist() == [9, 4]
    whole = scorer.score(user, ALL)
    found = attribute(scorer, user, ALL)
    place = found.causes == 7
    rows = np.flatnonzero(place.any(axis=1))
    assert len(rows)
    expected = (whole - scorer.score(without, ALL))[rows]
    np.testing.assert_allclose(found.drops[place], expected, rtol=1e-3, atol=1e-4)


def test_what_the_user_does_not_want_brings_nothing(scorer: FinalScorer) -> None:
    events = [(row, int(kind)) for row, kind in zip(range(20, 22), NEGATIVE, strict=True)]
    found = attribute(scorer, user_of([(3, 2), (5, 4), *events]), ALL)
    assert set(found.causes.ravel().tolist()) <= {3, 5, -1}
    assert set(attribute(scorer, user_of(events), ALL).causes.ravel().tolist()) == {-1}


def test_a_user_without_history_has_no_causes(scorer: FinalScorer) -> None:
    found = attribute(scorer, clicked(), ALL[:4])
    assert found.causes.tolist() == [[-1] * MOST_CAUSES] * 4
    assert found.causes.dtype == np.int32
    assert not found.drops.any() and found.drops.dtype == np.float32
    assert attribute(scorer, clicked(3), ALL[:0]).causes.shape == (0, MOST_CAUSES)


def test_an_only_item_is_the_only_cause(scorer: FinalScorer) -> None:
    found = attribute(scorer, clicked(3, 3), ALL)
    named = found.causes[:, 0] >= 0
    assert named.any()
    expected = scorer.score(clicked(3, 3), ALL) - scorer.score(clicked(), ALL)
    np.testing.assert_allclose(found.drops[named, 0], expected[named], rtol=1e-3, atol=1e-4)
    assert (found.causes[:, 1:] == -1).all()


def test_only_the_most_recent_items_are_left_out(scorer: FinalScorer) -> None:
    found = attribute(scorer, clicked(*range(80)), ALL)
    assert set(found.causes.ravel().tolist()) <= {-1, *range(80 - LEFT_OUT, 80)}


def test_a_pair_that_a_table_lists_twice_counts_twice_in_both_ways_of_reading_it() -> None:
    near = np.array([[1, 1], [0, -1]], np.int32)
    part = ItemToItem("near", near, np.array([[0.5, 0.25], [0.1, 0]], np.float32), 0.5, 0.1)
    user, rows = clicked(1, 0), np.array([1, 0, 1], np.int32)
    tastes = Tastes(taste_of(user)[None])
    np.testing.assert_allclose(
        part.scores(tastes, user.around, rows)[0],
        part.score(Known(taste_of(user)), rows),
        rtol=1e-6,
    )


def test_release_folders_are_not_written_to(scorer: FinalScorer, tmp_path: Path) -> None:
    """Vectors are mapped from the release, and parts answer views of them."""
    before = np.array(scorer.towers.item_vectors)
    attribute(scorer, clicked(1, 2, 3), ALL)
    np.testing.assert_array_equal(scorer.towers.item_vectors, before)
