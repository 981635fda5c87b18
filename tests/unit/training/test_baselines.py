import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from models.events import EventKind
from tests.unit.training.logs import sequences
from training.baselines import (
    GRIDS,
    Baseline,
    ImplicitFactors,
    ItemKnn,
    LastItem,
    LinearAutoencoder,
    PairwiseRanking,
    Popularity,
    RecentPopularity,
    TransitionFactors,
    Transitions,
    UserKnn,
)
from training.baselines.histories import binary, recency_weights
from training.protocols import stream
from training.sequences import EventSequences
from training.splits import Queries

METHODS: list[Baseline] = [
    Popularity(),
    RecentPopularity(1),
    ItemKnn(3),
    UserKnn(2),
    LastItem(),
    LinearAutoencoder(2.0),
    ImplicitFactors(2),
    PairwiseRanking(),
    Transitions(),
    TransitionFactors(4),
]


def _random_log(users: int = 20, n: int = 12, seed: int = 0) -> EventSequences:
    rng = np.random.default_rng(seed)
    return sequences(*(rng.permutation(n)[: rng.integers(2, 9)].tolist() for _ in range(users)))


def _asked(log: EventSequences, *positions: int) -> Queries:
    return Queries.at(log, np.array(positions, dtype=np.int64))


def _sets(log: EventSequences) -> list[set[int]]:
    return [set(log.rows[a:b].tolist()) for a, b in zip(log.offsets, log.offsets[1:], strict=False)]


def _scores(method: Baseline, log: EventSequences, n: int, queries: Queries) -> NDArray[np.float32]:
    return method.fit(log, n).score(queries)


def test_a_history_counts_half_for_every_half_life() -> None:
    log = sequences([3], [0, 1, 2, 4])
    found = recency_weights(_asked(log, 0, 4), 5, half_life=1.0).toarray()
    np.testing.assert_allclose(found, np.array([[0, 0, 0, 0, 0], [0.25, 0.5, 1, 0, 0]]))
    np.testing.assert_allclose(
        recency_weights(_asked(log, 4), 5, last=2).toarray(), [[0, 1, 1, 0, 0]]
    )


def test_of_repeated_events_the_newest_counts_and_dislikes_never() -> None:
    hide, dislike = (1, EventKind.HIDE, 0.0), (3, EventKind.DISLIKE, 0.0)
    log = sequences([0, 2, 2, 0, hide, dislike, 4])
    found = recency_weights(_asked(log, 6), 5, half_life=1.0).toarray()
    np.testing.assert_allclose(found, [[1, 0, 0.5, 0, 0]])
    np.testing.assert_array_equal(binary(log, 5).toarray(), [[1, 0, 1, 0, 1]])


def test_histories_equal_those_of_brute_force() -> None:
    log = _random_log(seed=1)
    queries = stream(log).test.queries
    found = recency_weights(queries, 12, half_life=3.0).toarray()
    for at in range(len(queries)):
        expected = np.zeros(12)
        for back, row in enumerate(queries.seen(at)[::-1]):
            expected[row] = 0.5 ** (back / 3)
        np.testing.assert_allclose(found[at], expected, rtol=1e-6)


def test_recent_popularity_counts_the_window_before_each_query() -> None:
    log = _random_log(seed=2)
    log = dataclasses.replace(log, times=np.arange(0, len(log) * 3_600.0, 3_600.0))
    queries = _asked(log, 60, 5, 31)
    found = _scores(RecentPopularity(1), log, 12, queries)
    ever = np.bincount(log.rows, minlength=12)
    for at, position in enumerate((60, 5, 31)):
        window = np.bincount(log.rows[max(position - 24, 0) : position], minlength=12)
        # Equal ones are told apart by how many users ever had them.
        np.testing.assert_allclose(found[at], window + ever / (ever.sum() + 1), atol=1e-5)


@pytest.mark.parametrize("shrink", [0.0, 2.0])
def test_item_knn_sums_similarities_to_the_nearest_items_of_the_one_scored(shrink: float) -> None:
    log, n, k = _random_log(), 12, 3
    had = binary(log, n).toarray()
    common = had.T @ had
    size = np.maximum(np.diag(common), 1)
    cosine = common / np.sqrt(np.outer(size, size)) * common / np.maximum(common + shrink, 1)
    np.fill_diagonal(cosine, 0)
    user = int(np.argmax(np.diff(log.offsets)))
    queries = _asked(log, log.offsets[user + 1] - 1)
    found = _scores(ItemKnn(k, shrink), log, n, queries)[0]
    history = set(queries.seen(0).tolist())
    for item in range(n):
        nearest = np.argsort(-cosine[item], kind="stable")[:k]
        expected = sum(cosine[item, other] for other in nearest if int(other) in history)
        assert found[item] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shrink", [0.0, 2.0])
def test_user_knn_sums_the_nearest_other_users(shrink: float) -> None:
    log, n, k = _random_log(seed=3), 12, 4
    sets = _sets(log)
    queries = _asked(log, *(log.offsets[1:] - 1))
    found = _scores(UserKnn(k, shrink), log, n, queries)
    for at in range(len(queries)):
        history = set(queries.seen(at).tolist())
        similar = np.zeros(len(sets))
        for user, items in enumerate(sets):
            c = len(history & items)
            if user != at and c:
                similar[user] = c / math.sqrt(len(history) * len(items)) * c / (c + shrink)
        expected = np.zeros(n)
        for user in np.argsort(-similar, kind="stable")[:k]:
            expected[sorted(sets[user])] += similar[user]
        np.testing.assert_allclose(found[at], expected, atol=1e-5)


def test_the_last_item_alone_decides_for_last_item() -> None:
    log = sequences([0, 1, 2], [4, 1, 3], [0, 2], [1, 2])
    found = _scores(LastItem(), log, 5, _asked(log, 2, 5, 3))
    # Item 1 has three users: with 0 it shares one of 2, with 2 two of 3, with 3 and 4 one of 1.
    expected = [1 / math.sqrt(6), 1, 2 / 3, 1 / math.sqrt(3), 1 / math.sqrt(3)]
    np.testing.assert_allclose(found[:2], [expected, expected], atol=1e-6)
    assert not found[2].any()


def test_transitions_are_directed() -> None:
    log = sequences([0, 1], [0, 1], [0, 2], [0, 3])
    found = _scores(Transitions(), log, 4, _asked(log, 7))[0]
    np.testing.assert_allclose(found, [0, 2 / 9, 1 / 9, 1 / 9], atol=1e-6)
    backwards = sequences([1, 0], [1, 0], [2, 0], [0, 3])
    assert _scores(Transitions(), backwards, 4, _asked(backwards, 7))[0, 1] == 0


def test_full_rank_transition_factors_give_the_root_of_probability() -> None:
    log = sequences([0, 1], [0, 1], [0, 2], [0, 3])
    found = _scores(TransitionFactors(4), log, 4, _asked(log, 7))[0]
    np.testing.assert_allclose(found**2, [0, 2 / 9, 1 / 9, 1 / 9], atol=1e-5)


def test_users_unknown_to_pairwise_ranking_get_the_popular() -> None:
    log = sequences([0, 1, 2], [0, 1], [0, 3], [2, 0])
    known = log.select(log.users < 3)
    found = _scores(PairwiseRanking(), known, 5, _asked(log, 2, 8))
    np.testing.assert_array_equal(found[1], [3, 2, 1, 1, 0])
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_every_method_scores_the_catalogue_for_users_without_history(method: Baseline) -> None:
    log = sequences([0, 1, 2], [1, 0], [2, 1, 3], [4, 0])
    known = log.select(np.arange(len(log)) < 8)
    scores = _scores(method, known, 7, _asked(log, 1, 8, 9))
    assert scores.shape == (3, 7) and scores.dtype == np.float32
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_what_comes_after_a_query_changes_nothing(method: Baseline) -> None:
    log = _random_log(seed=4)
    train = log.select(log.users < 10)
    later = int(log.offsets[11]) + 1
    other = dataclasses.replace(log, rows=log.rows.copy())
    other.rows[later:] = (other.rows[later:] + 5) % 12
    fitted = method.fit(train, 12)
    np.testing.assert_array_equal(
        fitted.score(_asked(log, later)), fitted.score(_asked(other, later))
    )


def test_each_method_is_listed_with_settings_that_differ() -> None:
    promised = "popularity recent_popularity item_knn user_knn ease ials bpr last_item transitions"
    assert set(promised.split()) <= set(GRIDS)
    for grid in GRIDS.values():
        assert len({str(setting) for setting in grid}) == len(grid)
