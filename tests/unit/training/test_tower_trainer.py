"""A trainer's snapshots lie between start and trained model; what it learns is the objective's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.events import EventKind
from models.head import CLICK, OBJECTIVES, UTILITY
from models.history import UserHistory
from models.scorer import FOLDED_COLUMNS, TowerScorer
from tests.unit.training.logs import Event, catalogue, sequences
from training.config import TowerConfig, TrainingConfig
from training.sequences import EventSequences
from training.tower_trainer import TowerTrainer

N = 20
FROZEN = TowerConfig(
    dimensions=8, hidden=16, passes=3, batch=64, learning_rate=5e-3, head_weight=0.5
)
TRAINED = replace(FROZEN, factor_learning_rate=1e-2)
TABLES = ("user.context.weight", "item.target.weight")


def log() -> EventSequences:
    rng = np.random.default_rng(0)
    return sequences(*([int(s + step) % N for step in range(6)] for s in rng.integers(N, size=80)))


def trainer(
    towers: TowerConfig, objective: str = CLICK, events: EventSequences | None = None
) -> TowerTrainer:
    config = TrainingConfig(towers=towers, objective=objective)
    return TowerTrainer(events or log(), catalogue(N, ("a", "b")), config, np.inf)


def passes(trainer: TowerTrainer, count: int) -> TowerTrainer:
    for _ in range(count):
        trainer.one_pass(lambda *_: None)
    return trainer


def history(*rows: int) -> UserHistory:
    n = len(rows)
    kinds = np.full(n, EventKind.CLICK, np.int8)
    ages = np.arange(n, 0, -1).astype(np.float32) * 60
    return UserHistory(np.array(rows, np.int32), kinds, ages, np.zeros(n, np.float32), 1e9)


def direction(scorer: TowerScorer) -> NDArray[np.float32]:
    """(N,) scores after a few items, without temperature."""
    scores = scorer.score(history(3, 4, 5), np.arange(N, dtype=np.int32))
    return scores / scorer.model.log_temperature.exp().item()


@pytest.mark.parametrize("towers", [FROZEN, TRAINED], ids=["tables frozen", "tables trained"])
def test_the_way_begins_at_the_start_and_ends_at_the_trained_model(towers: TowerConfig) -> None:
    training = trainer(towers)
    start = training.snapshot()
    passes(training, 2)
    back, all_the_way, now = training.snapshot(0), training.snapshot(1), training.snapshot()
    np.testing.assert_array_equal(back.item_vectors, start.item_vectors)
    np.testing.assert_allclose(direction(back), direction(start), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(all_the_way.item_vectors, now.item_vectors)
    assert np.abs(direction(now) - direction(start)).max() > 1e-3
    unmoved = [
        torch.equal(now.model.state_dict()[name], start.model.state_dict()[name]) for name in TABLES
    ]
    assert unmoved == [towers is FROZEN] * 2


@pytest.mark.parametrize("share", [0.3, 0.5, 0.85])
def test_between_them_everything_that_moves_is_part_of_the_way(share: float) -> None:
    training = passes(trainer(TRAINED), 2)
    start, part, end = (training.snapshot(each).model.state_dict() for each in (0, share, 1))
    for name in (*TABLES, "item.bias", "user.residual.3.weight", "item.residual.3.bias"):
        assert not torch.equal(start[name], end[name]), name
        torch.testing.assert_close(part[name], torch.lerp(start[name], end[name], share))


def test_a_snapshot_does_not_disturb_training() -> None:
    watched, alone = trainer(TRAINED), trainer(TRAINED)
    for _ in range(2):
        passes(watched, 1).snapshot(0.5)
    one, other = (each.snapshot() for each in (watched, passes(alone, 2)))
    np.testing.assert_array_equal(one.item_vectors, other.item_vectors)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("full", [True, False], ids=["full softmax", "sampled"])
def test_equal_seeds_give_equal_weights_bit_by_bit(objective: str, full: bool) -> None:
    towers = TRAINED if full else replace(TRAINED, full_softmax_items=0, negatives=16)
    one, other, third = (
        passes(trainer(each, objective), 2).snapshot().model.state_dict()
        for each in (towers, towers, replace(towers, seed=1))
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["item.bias"], third["item.bias"])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_nobody_elses_random_numbers_matter_or_change(objective: str) -> None:
    torch.manual_seed(5)
    one = passes(trainer(TRAINED, objective), 1).snapshot()
    after = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), after)
    torch.manual_seed(6)
    other = passes(trainer(TRAINED, objective), 1).snapshot()
    np.testing.assert_array_equal(one.item_vectors, other.item_vectors)


def test_utility_favours_what_brought_more_of_it() -> None:
    """After items 0 and 1 as many rate item 2 as view item 3."""
    five, glance = (2, EventKind.RATING, 5.0), (3, EventKind.VIEW, 0.0)
    users: list[list[int | Event]] = [[0, 1, five if user % 2 else glance] for user in range(100)]
    towers = replace(FROZEN, learning_rate=0.05)
    lead = {}
    for objective in OBJECTIVES:
        scorer = passes(trainer(towers, objective, sequences(*users)), 3).snapshot()
        rated, viewed = scorer.score(history(0, 1), np.array([2, 3], np.int32))
        lead[objective] = rated - viewed
    assert lead[UTILITY] > lead[CLICK] + 0.1


def test_items_without_events_take_the_bias_of_the_least_liked() -> None:
    events = sequences(*([0, 1, 2, 3] for _ in range(50)))
    scorer = passes(trainer(TRAINED, events=events), 2).snapshot()
    biases = scorer.item_vectors[:, -FOLDED_COLUMNS]
    assert np.unique(biases[4:]).size == 1
    assert biases[:4].min() <= biases[4] <= np.sort(biases[:4])[1]


def test_an_item_without_events_speaks_in_a_history_by_its_metadata() -> None:
    """Who just watched an unknown war film is near to war films, whatever was watched before."""
    names = ("war", "love")
    rng = np.random.default_rng(0)
    users = [[int(2 * rng.integers(10) + user % 2) for _ in range(6)] for user in range(60)]
    items = catalogue(24, names)  # even ones are war; 20 and up have no event
    config = TrainingConfig(towers=TowerConfig(dimensions=8, hidden=8, passes=0))
    scorer = TowerTrainer(sequences(*users), items, config, np.inf).snapshot()
    everything = np.arange(20, dtype=np.int32)
    for unknown, alike in ((20, 0), (21, 1)):
        scores = scorer.score(history(unknown), everything) - scorer.item_vectors[:20, -2]
        assert scores[alike::2].mean() > scores[1 - alike :: 2].mean() + 1
