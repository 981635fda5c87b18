"""Weights: does the fit recover those by which people chose?"""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from models.evidence import Evidence, Known, Rows, Scores
from models.final_score import DEFAULT_WEIGHTS, TOWERS, FinalScorer
from models.history import Surroundings
from models.scorer import TowerScorer
from models.tastes import Tastes
from tests.unit.training.logs import catalogue, sequences
from training.blend import catalogue_scores, fit_weights, gather
from training.config import TowerConfig, TrainingConfig
from training.sequences import EventSequences
from training.splits import Queries
from training.tower_trainer import TowerTrainer

N = 60


@dataclass(frozen=True)
class Planted:
    """Scores that follow from the newest item and nothing else."""

    name: str
    values: NDArray[np.float32]  # (N, N)

    def score(self, known: Known, rows: Rows) -> Scores:
        scores: Scores = self.values[known.taste[0], rows]
        return scores

    def scores(self, tastes: Tastes, around: Surroundings, rows: Rows) -> Scores:
        scores: Scores = self.values[tastes.rows[:, 0]][:, rows]
        return scores


def planted_parts() -> list[Evidence]:
    rng = np.random.default_rng(0)
    names = [name for name in DEFAULT_WEIGHTS if name != TOWERS]
    parts = [Planted(name, rng.normal(size=(N, N)).astype(np.float32)) for name in names]
    return [*parts]


def silent(_done: int, _of: int) -> None:
    pass


@pytest.fixture(scope="module")
def towers() -> TowerScorer:
    """Untrained, of a log that says nothing: every logit is zero."""
    config = TrainingConfig(towers=TowerConfig(dimensions=4, hidden=4, passes=0))
    return TowerTrainer(sequences([0], [1]), catalogue(N), config, np.inf).snapshot()


def choosing(parts: list[Evidence], count: int, true: dict[str, float]) -> EventSequences:
    """Users of two events: a random item, and a choice among all others by a conditional logit."""
    rng = np.random.default_rng(1)
    everything = np.arange(N, dtype=np.int32)
    users = []
    for _ in range(count):
        first = int(rng.integers(N))
        taste = np.array([first], np.int32)
        scores = sum(
            true.get(part.name, 0) * part.score(Known(taste), everything) for part in parts
        )
        scores = scores + rng.gumbel(size=N)
        scores[first] = -np.inf
        users.append([first, int(np.argmax(scores))])
    return sequences(*users)


def second_events(log: EventSequences) -> Queries:
    return Queries.at(log, log.offsets[:-1] + 1)


def test_planted_weights_are_recovered_from_choices(towers: TowerScorer) -> None:
    """Without the ascent, which below 500 events is not made."""
    parts = planted_parts()
    true = {"transitions": 1.5, "ease": 0.4, "factors": 0.8, "popularity": 0.0, "genres": 6.0}
    found = [
        fit_weights(towers, parts, second_events(log).take(part), silent)
        for log in [choosing(parts, 1_960, true)]
        for part in (slice(at, at + 490) for at in range(0, 1_960, 490))
    ]
    mean = {name: np.mean([each[name] for each in found]) for name in true}
    assert mean["transitions"] == pytest.approx(1.5, abs=0.2)
    assert mean["ease"] == pytest.approx(0.4, abs=0.1)
    assert mean["factors"] == pytest.approx(0.8, abs=0.2)
    assert mean["popularity"] < 0.1


def test_a_part_that_misleads_gets_no_weight_and_none_is_negative(towers: TowerScorer) -> None:
    parts = planted_parts()
    log = choosing(parts, 800, {"transitions": -1.0, "ease": 1.0, "genres": 6.0})
    weights = fit_weights(towers, parts, second_events(log), silent)
    assert weights["transitions"] == 0
    assert min(weights.values()) >= 0


def test_genres_keep_their_weight_whatever_the_data_say(towers: TowerScorer) -> None:
    parts = planted_parts()
    for true in ({"genres": -3.0}, {"genres": 0.5, "ease": 2.0}):
        log = choosing(parts, 600, true)
        weights = fit_weights(towers, parts, second_events(log), silent)
        assert weights["genres"] == DEFAULT_WEIGHTS["genres"]


def test_without_held_out_events_the_prior_decides(towers: TowerScorer) -> None:
    log = choosing(planted_parts(), 3, {})
    nothing = second_events(log).take(slice(0, 0))
    assert fit_weights(towers, planted_parts(), nothing, silent) == dict(DEFAULT_WEIGHTS)


def test_a_part_that_never_speaks_keeps_the_weight_of_the_prior(towers: TowerScorer) -> None:
    """As the towers here."""
    parts = planted_parts()
    log = choosing(parts, 400, {"ease": 1.0, "genres": 6.0})
    weights = fit_weights(towers, parts, second_events(log), silent)
    assert weights[TOWERS] == pytest.approx(DEFAULT_WEIGHTS[TOWERS], rel=1e-3)


def test_the_same_held_out_events_give_the_same_weights(towers: TowerScorer) -> None:
    parts = planted_parts()
    held_out = second_events(choosing(parts, 2_100, {"ease": 1.0}))  # more than are looked at
    first, second = (fit_weights(towers, parts, held_out, silent) for _ in range(2))
    assert first == second


def test_candidates_are_the_target_first_then_the_best_unseen_of_each_part(
    towers: TowerScorer,
) -> None:
    parts = planted_parts()
    log = sequences([3, 5, 7], [2], [1, 1, 4])
    queries = Queries.at(log, np.array([2, 6]))
    unit = FinalScorer(towers, parts, {TOWERS: 1.0} | {part.name: 1.0 for part in parts})
    choices = gather(unit, queries, silent)
    assert choices.starts.tolist() == [0, N - 2]  # fewer than 200 items: all but those seen
    assert len(choices.features) == (N - 2) + (N - 1)
    newest = Known(np.array([5], np.int32))
    for column, part in enumerate(parts, start=1):
        scores = part.score(newest, np.arange(N, dtype=np.int32))
        assert choices.features[0, column] == scores[7]
        unseen = np.delete(scores, [3, 5])
        np.testing.assert_array_equal(np.sort(choices.features[: N - 2, column]), np.sort(unseen))


def test_a_target_that_was_seen_is_no_choice(towers: TowerScorer) -> None:
    parts = planted_parts()
    log = sequences([3, 5, 3])
    scorer = FinalScorer(towers, parts, {TOWERS: 1.0, "ease": 1.0})
    assert len(gather(scorer, Queries.at(log, np.array([2])), silent).starts) == 0


def test_one_item_left_to_choose_is_no_trouble(towers: TowerScorer) -> None:
    log = sequences([*range(N)])
    found = fit_weights(towers, planted_parts(), Queries.at(log, np.array([N - 1])), silent)
    assert found == pytest.approx(dict(DEFAULT_WEIGHTS))


def test_scores_of_a_catalogue_are_weighed_sums_of_parts(towers: TowerScorer) -> None:
    parts = planted_parts()
    scorer = FinalScorer(towers, parts, {TOWERS: 1.0, "ease": 2.0, "factors": 0.5})
    queries = second_events(sequences([4, 1], [9, 2]))
    by_name = {part.name: part for part in parts}
    everything = np.arange(N, dtype=np.int32)
    for row, newest in zip(catalogue_scores(scorer, queries), ([4], [9]), strict=True):
        taste = np.array(newest, np.int32)
        expected = 2 * by_name["ease"].score(Known(taste), everything)
        expected = expected + 0.5 * by_name["factors"].score(Known(taste), everything)
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)
