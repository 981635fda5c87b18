"""Does the fit recover planted lines, and does the error count what it says it counts?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.events import EventKind
from models.evidence import Evidence, ItemPrior
from models.final_score import TOWERS, FinalScorer
from models.head import CLICK, MAX_UTILITY, OBJECTIVES, UTILITY
from models.scorer import TowerScorer
from tests.unit.training.logs import catalogue, sequences
from training.calibration import (
    Bin,
    Calibration,
    Pairs,
    calibrate,
    expected_error,
    fit_head,
    reliability,
    sample_pairs,
)
from training.config import TowerConfig, TrainingConfig
from training.sequences import EventSequences
from training.splits import Queries, before, last_new_events
from training.tower_trainer import TowerTrainer
from training.utility import UtilityWeights

N = 40


def clicks(scores: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Drawn by the sigmoid of 2 * score - 1."""
    chance = 1 / (1 + np.exp(1 - 2 * scores))
    return (np.random.default_rng(seed).random(len(scores)) < chance).astype(np.float64)


def normal(count: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=count).astype(np.float32)


@pytest.mark.parametrize("count", [400, 20_000])  # a plain line, and one of pieces
def test_a_planted_logistic_line_is_recovered(count: int) -> None:
    scores = normal(count, 0)
    head = fit_head(CLICK, scores, clicks(scores, 1))
    at = np.linspace(-1.5, 1.5, 7).astype(np.float32)
    np.testing.assert_allclose(
        head.predict(at), 1 / (1 + np.exp(1 - 2 * at)), atol=0.1 if count == 400 else 0.03
    )


def test_a_planted_utility_line_is_recovered_where_it_is_above_zero() -> None:
    scores = normal(20_000, 2)
    noise = normal(20_000, 3)
    outcomes = np.clip(3 * scores + 2 + 0.5 * noise, 0, MAX_UTILITY).astype(np.float64)
    head = fit_head(UTILITY, scores, outcomes)
    at = np.array([0.0, 0.5, 1.0, 2.0], np.float32)
    np.testing.assert_allclose(head.predict(at), 3 * at + 2, atol=0.2)
    assert head.predict(np.array([-3], np.float32))[0] < 0.1


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(
    st.lists(st.tuples(st.floats(-50, 50, width=32), st.integers(0, 1)), max_size=30),
)
def test_any_few_pairs_give_a_head_that_rises_and_predicts_in_range(
    objective: str, pairs: list[tuple[float, int]]
) -> None:
    """Also none, one, all alike, or of one outcome."""
    scores = np.array([score for score, _ in pairs], np.float32)
    outcomes = np.array([outcome for _, outcome in pairs], np.float64)
    predictions = fit_head(objective, scores, outcomes).predict(np.sort(scores))
    assert np.isfinite(predictions).all()
    assert (np.diff(predictions) >= 0).all()


def test_bins_hold_means_of_like_predictions() -> None:
    predicted = np.array([0.01, 0.05, 0.5, 0.99, 1.0])
    observed = np.array([0.0, 1.0, 1.0, 1.0, 0.0])
    bins = reliability(predicted, observed)
    assert [each.pairs for each in bins] == [2, 1, 2]
    assert [each.predicted for each in bins] == pytest.approx([0.03, 0.5, 0.995])
    assert [each.observed for each in bins] == pytest.approx([0.5, 1.0, 0.5])
    assert expected_error(bins) == pytest.approx((2 * 0.47 + 0.5 + 2 * 0.495) / 5)


def test_error_is_weighed_by_pairs_and_undefined_without_any() -> None:
    assert expected_error([Bin(3, 0.5, 0.4), Bin(1, 0.2, 0.6)]) == pytest.approx(0.175)
    assert np.isnan(expected_error(reliability(np.empty(0), np.empty(0))))


def test_predictions_that_come_true_have_next_to_no_error_and_boasts_have_much() -> None:
    rng = np.random.default_rng(4)
    predicted = rng.random(20_000)
    observed = (rng.random(20_000) < predicted).astype(np.float64)
    assert expected_error(reliability(predicted, observed)) < 0.03
    assert expected_error(reliability(np.sqrt(predicted), observed)) > 0.1


@pytest.fixture(scope="module")
def log() -> EventSequences:
    """Popular items are of low rows; ratings of five stars, and a view."""
    rng = np.random.default_rng(5)
    chances = 1 / np.arange(1, N + 1)
    drawn = (rng.choice(N, 6, replace=False, p=chances / chances.sum()) for _ in range(400))
    stars = [EventKind.RATING] * 5 + [EventKind.VIEW]
    return sequences(
        *([(int(row), kind, 5.0) for row, kind in zip(d, stars, strict=True)] for d in drawn)
    )


@pytest.fixture(scope="module")
def towers(log: EventSequences) -> TowerScorer:
    config = TrainingConfig(towers=TowerConfig(dimensions=4, hidden=4, passes=0))
    return TowerTrainer(log, catalogue(N), config, np.inf).snapshot()


@pytest.fixture(scope="module")
def scorer(towers: TowerScorer) -> FinalScorer:
    popularity: Evidence = ItemPrior("popularity", -np.log1p(np.arange(N)).astype(np.float32))
    return FinalScorer(towers, [popularity], {TOWERS: 0.0, "popularity": 1.0})


def pairs_of(scorer: FinalScorer, held_out: Queries, objective: str, seed: int = 0) -> Pairs:
    return sample_pairs(scorer, before(held_out), held_out, objective, UtilityWeights(), seed)


@pytest.mark.parametrize(("objective", "positive"), [(CLICK, 1.0), (UTILITY, 0.25)])
def test_each_held_out_item_stands_beside_at_most_four_unseen_ones(
    log: EventSequences, scorer: FinalScorer, objective: str, positive: float
) -> None:
    held_out = last_new_events(log)
    pairs = pairs_of(scorer, held_out, objective)
    assert np.bincount(pairs.users, pairs.outcomes).tolist() == [positive] * 400
    counts = np.bincount(pairs.users)
    assert counts.min() >= 1
    assert counts.max() == 5
    popularity = -np.log1p(np.arange(N)).astype(np.float32)
    for at in range(0, 400, 57):
        own = pairs.users == at
        rows = np.searchsorted(-popularity, -pairs.scores[own])
        assert rows[0] == held_out.targets[at]
        assert not set(rows[1:].tolist()) & {*held_out.seen(at).tolist(), int(rows[0])}


def test_negatives_follow_from_the_seed(log: EventSequences, scorer: FinalScorer) -> None:
    held_out = last_new_events(log)
    first, same, other = (pairs_of(scorer, held_out, CLICK, seed).scores for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert len(first) != len(other) or (first != other).any()


def calibration_of(scorer: FinalScorer, log: EventSequences, objective: str) -> Calibration:
    held_out = last_new_events(log)
    return calibrate(scorer, before(held_out), held_out, objective, UtilityWeights(), 0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_predictions_are_near_what_happened_to_users_the_head_did_not_see(
    log: EventSequences, scorer: FinalScorer, objective: str
) -> None:
    found = calibration_of(scorer, log, objective)
    assert found.head.objective == objective
    assert found.ece < 0.06
    assert sum(each.pairs for each in found.bins) == len(
        pairs_of(scorer, last_new_events(log), objective).scores
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_log_without_held_out_events_has_a_head_but_no_error(
    towers: TowerScorer, objective: str
) -> None:
    found = calibration_of(FinalScorer(towers, [], {TOWERS: 1.0}), sequences([1], [2]), objective)
    assert np.isnan(found.ece)
    assert list(found.bins) == []
    assert np.isfinite(found.head.predict(np.array([-1, 0, 1], np.float32))).all()
