"""Parts of the final score, each against a computation that needs no trick."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.events import EventKind
from models.evidence import (
    AroundEvidence,
    EvidenceConfig,
    EvidenceTables,
    FactorEvidence,
    GenreEvidence,
    ItemPrior,
    ItemToItem,
    Known,
    NewcomerEvidence,
    Rows,
    evidence_parts,
    taste_of,
)
from models.history import Surroundings, UserHistory, WeightedRows
from models.matrix_factorization import FactorizationConfig, FoldIn
from models.metadata import genre_vectors
from models.neighbours import Neighbours

N = 12
ALL = np.arange(N, dtype=np.int32)
NOBODY = np.empty(0, np.int32)

row_lists = st.lists(st.integers(0, N - 1), max_size=30).map(lambda rows: np.array(rows, np.int32))


def table(seed: int = 0) -> ItemToItem:
    """Each item leads to none to four others, padded."""
    rng = np.random.default_rng(seed)
    rows = np.full((N, 4), -1, np.int32)
    scores = np.zeros((N, 4), np.float32)
    for item in range(N):
        count = int(rng.integers(5))
        rows[item, :count] = rng.choice(N, count, replace=False)
        scores[item, :count] = np.sort(rng.random(count, dtype=np.float32) + 0.01)[::-1]
    return ItemToItem("near", rows, scores, decay=0.7, scale=0.01, depth=5)


def dense_scores(part: ItemToItem, taste: Rows) -> NDArray[np.float64]:
    """(N,) of all items, from the table as a full matrix."""
    matrix = np.zeros((N, N))
    for item in range(N):
        for other, score in zip(part.near_rows[item], part.near_scores[item], strict=True):
            if other >= 0:
                matrix[item, other] = score
    weights = [part.decay**place for place in range(min(len(taste), part.depth))]
    mean = sum(w * matrix[item] for w, item in zip(weights, taste, strict=False)) / sum(weights)
    scores: NDArray[np.float64] = np.log1p(mean / part.scale)
    return scores


@given(row_lists.filter(len), row_lists, st.integers(0, 5))
def test_item_to_item_is_the_log_of_a_decayed_mean_of_table_rows(
    taste: Rows, rows: Rows, seed: int
) -> None:
    part = table(seed)
    np.testing.assert_allclose(
        part.score(Known(taste), rows), dense_scores(part, taste)[rows], rtol=1e-5, atol=1e-6
    )


@given(row_lists, row_lists)
def test_an_items_score_does_not_depend_on_the_other_candidates(taste: Rows, rows: Rows) -> None:
    part = table()
    np.testing.assert_array_equal(
        part.score(Known(taste), rows), part.score(Known(taste), ALL)[rows]
    )


def test_an_item_outside_every_list_scores_zero() -> None:
    part = ItemToItem(
        "near",
        np.array([[1], [-1], [-1]], np.int32),
        np.array([[0.5], [0], [0]], np.float32),
        decay=0.5,
        scale=0.5,
    )
    everything = np.arange(3, dtype=np.int32)
    np.testing.assert_allclose(
        part.score(Known(np.array([0], np.int32)), everything), [0, np.log(2), 0], rtol=1e-6
    )
    assert part.score(Known(np.array([2], np.int32)), everything).tolist() == [0, 0, 0]


GENRES = genre_vectors([("war",), ("love",), ("war", "love"), ()])


def test_genres_favour_what_the_history_holds_more_of_than_the_catalogue() -> None:
    part = GenreEvidence(GENRES, GENRES.mean(axis=0))
    war, love, both, none = part.score(Known(np.array([0], np.int32)), np.arange(4, dtype=np.int32))
    assert war > both > 0 > love
    assert none == 0
    more = GENRES[0] - GENRES.mean(axis=0)
    cosine = GENRES[0] @ more / np.linalg.norm(more)
    assert war == pytest.approx(cosine / (1 + (1 / 5) ** 2), rel=1e-5)


@pytest.mark.parametrize(("events", "share"), [(5, 1 / 2), (10, 1 / 5), (50, 1 / 101)])
def test_genres_fade_as_the_history_grows(events: int, share: float) -> None:
    part = GenreEvidence(GENRES, GENRES.mean(axis=0))
    rows = np.array([0, 1, 2], np.int32)
    at_once = part.score(Known(np.array([0], np.int32)), rows) * (1 + (1 / 5) ** 2)
    later = part.score(Known(np.zeros(events, np.int32)), rows)
    np.testing.assert_allclose(later, at_once * share, rtol=1e-5)


def test_a_history_like_the_catalogue_says_nothing_of_genres() -> None:
    part = GenreEvidence(GENRES[:2], GENRES[:2].mean(axis=0))
    both = np.array([0, 1], np.int32)
    assert part.score(Known(both), both).tolist() == [0, 0]


def test_factors_are_the_inner_product_with_the_folded_in_user() -> None:
    items = np.random.default_rng(1).normal(size=(N, 3)).astype(np.float32)
    config = FactorizationConfig(dimensions=3, unobserved_weight=0.2, regularization=0.4)
    part = FactorEvidence(items, FoldIn(items, config), half_life=2.0, depth=3)
    taste = np.array([4, 9, 1, 7], np.int32)  # the last is beyond the depth
    weights = np.array([1.0, 2**-0.5, 0.5])
    y = items[taste[:3]].astype(np.float64)
    system = 0.2 * items.T.astype(np.float64) @ items + 0.4 * np.eye(3) + (y.T * weights) @ y
    user = np.linalg.solve(system, y.T @ weights)
    np.testing.assert_allclose(part.score(Known(taste), ALL), items @ user, rtol=1e-4, atol=1e-6)


def parts_of(genres: NDArray[np.float32]) -> list[str]:
    factors = np.random.default_rng(2).normal(size=(N, 3)).astype(np.float32)
    near = Neighbours(table().near_rows, table().near_scores)
    tables = EvidenceTables(
        transitions=near,
        ease=near,
        factors=factors,
        fold_in=FoldIn(factors),
        genres=genres,
        popularity=np.log(np.arange(N) + 1e-6).astype(np.float32),
    )
    parts = evidence_parts(tables, EvidenceConfig())
    for part in parts:
        for taste in (NOBODY, ALL, np.zeros(300, np.int32)):
            scores = part.score(Known(taste), ALL)
            assert scores.dtype == np.float32
            assert scores.shape == (N,)
            assert np.isfinite(scores).all()
            assert part.score(Known(taste), NOBODY).shape == (0,)
        if not isinstance(part, ItemPrior):
            assert not part.score(Known(NOBODY), ALL).any()
    return [part.name for part in parts]


@pytest.mark.parametrize("genres", [0, 2])
def test_every_part_is_finite_for_any_history_and_silent_without_one(genres: int) -> None:
    """Also when no item has a genre."""
    names = parts_of(np.eye(N, genres, dtype=np.float32))
    assert names == [
        *("transitions", "ease", "factors", "popularity", "genres"),
        *("trend", "trend_here", "friends", "newcomers"),
    ]


def test_popularity_is_the_log_of_one_more_than_the_recent_events() -> None:
    near = Neighbours(table().near_rows, table().near_scores)
    factors = np.zeros((N, 1), np.float32)
    popularity = np.log(np.arange(N) + 1e-6).astype(np.float32)
    tables = EvidenceTables(
        near, near, factors, FoldIn(factors), np.zeros((N, 0), np.float32), popularity
    )
    part = next(p for p in evidence_parts(tables, EvidenceConfig()) if p.name == "popularity")
    np.testing.assert_allclose(part.score(Known(NOBODY), ALL), np.log1p(np.arange(N)), atol=1e-5)


def test_taste_is_newest_first_without_dislikes_and_repeats() -> None:
    kinds = [EventKind.VIEW, EventKind.CLICK, EventKind.CLICK, EventKind.DISLIKE, EventKind.LIKE]
    user = UserHistory(
        rows=np.array([3, 3, 5, 6, 7], np.int32),
        kinds=np.array([int(kind) for kind in kinds], np.int8),
        ages=np.arange(5, 0, -1).astype(np.float32),
        values=np.zeros(5, np.float32),
        time=1e9,
    )
    assert taste_of(user).tolist() == [7, 5, 3]


def test_what_goes_on_around_a_user_counts_by_the_logarithm_of_its_weight() -> None:
    part = AroundEvidence("trend", lambda around: around.trend, scale=0.5)
    trend = WeightedRows(np.array([5, 2], np.int32), np.array([1.5, 0.5], np.float32))
    known = Known(NOBODY, Surroundings(trend=trend))
    found = part.score(known, np.array([2, 3, 5], np.int32))
    np.testing.assert_allclose(found, np.log1p([1, 0, 3]), rtol=1e-6)
    assert not part.score(Known(ALL), ALL).any()


@given(st.dictionaries(st.integers(0, 50), st.floats(0.125, 9, width=32)), row_lists)
def test_weights_of_rows_are_looked_up_whatever_their_order(
    weights: dict[int, float], rows: Rows
) -> None:
    table = WeightedRows(
        np.array(list(weights), np.int32), np.array(list(weights.values()), np.float32)
    )
    assert table.of(rows).tolist() == [weights.get(int(row), 0.0) for row in rows]


def test_weights_and_rows_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="weights: 1 for 2 rows"):
        WeightedRows(np.array([1, 2], np.int32), np.array([1.0], np.float32))


def test_newcomers_get_what_is_on_the_rise_here_or_everywhere_until_more_is_known() -> None:
    part = NewcomerEvidence(scale=0.5)
    around = Surroundings(
        trend=WeightedRows(np.array([1, 2], np.int32), np.array([0.5, 0.5], np.float32)),
        trend_here=WeightedRows(np.array([2, 3], np.int32), np.array([1.5, 0.1], np.float32)),
    )
    rows = np.array([1, 2, 3, 4], np.int32)
    at_first = part.score(Known(NOBODY, around), rows)
    np.testing.assert_allclose(at_first, np.log1p([1, 3, 0.2, 0]), rtol=1e-6)
    after_three = part.score(Known(np.array([7, 8, 9], np.int32), around), rows)
    np.testing.assert_allclose(after_three, at_first / 10, rtol=1e-6)
