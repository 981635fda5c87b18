from dataclasses import replace

import numpy as np
import pytest
import torch

from models.features import pad_histories, user_tensors
from models.history import UserHistory
from models.scorer import TowerScorer
from tests.unit.training.logs import catalogue, sequences
from training.config import TowerConfig, TrainingConfig
from training.sequences import EventSequences
from training.splits import last_new_events
from training.tower_trainer import TowerTrainer
from training.two_tower import catalogue_scores, fit_towers

N_ITEMS = 40
TOWERS = TowerConfig(dimensions=16, hidden=32, passes=8, batch=128, learning_rate=5e-3, seed=1)
CONFIG = TrainingConfig(towers=TOWERS)


def rings(n_users: int = 120, seed: int = 0) -> EventSequences:
    """Users walk rings of ten items: after item i comes i + 1 of the same ring."""
    rng = np.random.default_rng(seed)
    users = []
    for user in range(n_users):
        start, ring = int(rng.integers(10)), user % 3
        users.append([ring * 10 + (start + step) % 10 for step in range(8)])
    return sequences(*users)


def history(*rows: int) -> UserHistory:
    n = len(rows)
    return UserHistory(
        rows=np.array(rows, dtype=np.int32),
        kinds=np.full(n, 3, dtype=np.int8),
        ages=np.arange(n, 0, -1, dtype=np.float32) * 60,
        values=np.zeros(n, dtype=np.float32),
        time=1e9,
    )


@pytest.fixture(scope="module")
def scorer() -> TowerScorer:
    return fit_towers(rings(), catalogue(N_ITEMS, ("a", "b")), CONFIG, np.inf).scorer


ALL = np.arange(N_ITEMS, dtype=np.int32)


@pytest.mark.parametrize("ring", [0, 10, 20])
def test_what_comes_next_is_found_from_the_order_of_the_history(
    scorer: TowerScorer, ring: int
) -> None:
    scores = scorer.score(history(ring + 3, ring + 4, ring + 5), ALL)
    scores[[ring + 3, ring + 4, ring + 5]] = -np.inf
    assert scores.argmax() == ring + 6


def test_training_beats_its_start_and_the_choice_is_the_best_pass() -> None:
    fit = fit_towers(rings(), catalogue(N_ITEMS), CONFIG, np.inf)
    ndcg = [metrics["ndcg@10"] for metrics in fit.validation]
    assert ndcg[fit.passes] == max(ndcg)
    assert len(ndcg) == TOWERS.passes + 1


def test_a_network_that_does_not_beat_its_start_is_not_served() -> None:
    ruinous = replace(CONFIG, towers=replace(TOWERS, learning_rate=50.0, passes=1))
    fit = fit_towers(rings(), catalogue(N_ITEMS), ruinous, np.inf)
    start = TowerTrainer(rings(), catalogue(N_ITEMS), ruinous, np.inf).snapshot()
    assert fit.passes == 0
    np.testing.assert_array_equal(fit.scorer.item_vectors, start.item_vectors)


def test_the_same_seed_gives_the_same_model() -> None:
    first, second = (
        fit_towers(rings(), catalogue(N_ITEMS), CONFIG, np.inf).scorer for _ in range(2)
    )
    np.testing.assert_array_equal(first.item_vectors, second.item_vectors)
    np.testing.assert_array_equal(
        first.user_vector(history(1, 2)), second.user_vector(history(1, 2))
    )


def test_an_event_after_the_target_changes_nothing_before_it(scorer: TowerScorer) -> None:
    log = rings()
    queries = last_new_events(log)
    rows = log.rows.copy()
    rows[queries.positions] = 39
    changed = replace(queries, log=replace(log, rows=rows))
    np.testing.assert_array_equal(
        catalogue_scores(scorer, queries), catalogue_scores(scorer, changed)
    )


def test_training_and_serving_give_equal_scores(scorer: TowerScorer) -> None:
    queries = last_new_events(rings()).take(slice(0, 5))
    offline = catalogue_scores(scorer, queries)
    for i in range(5):
        live = replace(history(*queries.seen(i).tolist()), time=float(queries.times[i]))
        np.testing.assert_allclose(scorer.score(live, ALL), offline[i], atol=1e-5)


def test_without_history_the_popular_comes_first() -> None:
    log = sequences(*[[5, row % 4, 5 + row % 3 + 1] for row in range(12)], [9, 5])
    config = replace(CONFIG, towers=replace(TOWERS, passes=0))
    found = fit_towers(log, catalogue(12), config, np.inf).scorer
    assert found.score(history(), np.arange(12, dtype=np.int32)).argmax() == 5


def test_a_disliked_item_is_no_history(scorer: TowerScorer) -> None:
    liked = history(3, 4)
    hidden = replace(
        history(3, 4, 25),
        kinds=np.array([3, 3, 11], dtype=np.int8),
        ages=np.array([2, 1, 0.5], np.float32),
    )
    same = replace(liked, ages=np.array([2, 1], np.float32))
    length = scorer.model.schema.history_length
    batch = user_tensors(pad_histories([hidden, same], length), scorer.model.schema)
    pools = scorer.model.user.pools(batch)
    torch.testing.assert_close(pools[0], pools[1], rtol=0, atol=0)
    # That something was hidden is a feature of the session all the same.
    assert not torch.equal(batch.context[0], batch.context[1])


def test_an_item_without_events_stays_behind_known_ones(scorer: TowerScorer) -> None:
    unknown = ALL >= 30
    scores = scorer.score(history(3, 4, 5), ALL)
    assert scores[unknown].max() < scores[6]
    assert np.isfinite(scores).all()
    vectors = scorer.new_item_vectors([("a",)], np.array([1999], dtype=np.int16))
    assert vectors.shape == (1, TOWERS.dimensions + 2)


def test_a_sample_of_negatives_also_learns_what_comes_next() -> None:
    config = replace(
        CONFIG,
        towers=replace(
            TOWERS, full_softmax_items=0, negatives=20, factor_learning_rate=1e-3, refit=False
        ),
    )
    fit = fit_towers(rings(), catalogue(N_ITEMS), config, np.inf)
    scores = fit.scorer.score(history(13, 14, 15), ALL)
    scores[[13, 14, 15]] = -np.inf
    assert scores.argmax() == 16
