"""What towers have learnt, put upon the tables of another log."""

import copy

import numpy as np
import torch
from torch import Tensor

from models.two_tower import TwoTower
from tests.unit.training.logs import catalogue, sequences
from training.config import TowerConfig, TrainingConfig
from training.learnt import Learnt, alignment, last_layers, tables
from training.sequences import EventSequences
from training.splits import Queries, last_new_events
from training.tower_trainer import TowerTrainer
from training.two_tower import catalogue_scores

N = 40
ITEMS = catalogue(N, ("a", "b"))
CONFIG = TrainingConfig(towers=TowerConfig(dimensions=16, hidden=8, batch=128, learning_rate=1e-2))
NEW = [4, 17, 31]  # rows of items that the older towers know nothing of


def log(n_users: int = 60) -> EventSequences:
    rng = np.random.default_rng(0)
    return sequences(*[rng.permutation(N)[:12].tolist() for _ in range(n_users)])


def trainer(learnt: Learnt | None = None) -> TowerTrainer:
    return TowerTrainer(log(), ITEMS, CONFIG, np.inf, learnt)


def trained() -> TowerTrainer:
    found = trainer()
    for _ in range(2):
        found.one_pass(lambda *_: None)
    return found


def orthogonal(d: int, seed: int = 0) -> Tensor:
    drawn = np.random.default_rng(seed).standard_normal((d, d))
    return torch.from_numpy(np.linalg.qr(drawn)[0]).float()


def in_another_basis(model: TwoTower, rotation: Tensor) -> TwoTower:
    turned = copy.deepcopy(model)
    with torch.no_grad():
        for table in tables(turned):
            table.copy_(table @ rotation)
    return turned


def learnt(share: float = 1.0, rotation: Tensor | None = None) -> Learnt:
    scorer = trained().snapshot(share)
    model = in_another_basis(scorer.model, orthogonal(16) if rotation is None else rotation)
    rows = np.arange(N)
    rows[NEW] = -1
    return Learnt(model, scorer.encoder, share, rows)


def questions() -> Queries:
    return last_new_events(log())


def test_a_rotation_is_found_again_from_tables_that_are_only_nearly_it() -> None:
    rng, rotation = np.random.default_rng(1), orthogonal(6)
    one, other = (torch.from_numpy(rng.standard_normal((30, 6))).float() for _ in range(2))
    noise = 0.01 * torch.from_numpy(rng.standard_normal((30, 6))).float()
    found = alignment([one, other], [one @ rotation + noise, other @ rotation])
    torch.testing.assert_close(found, rotation, atol=0.02, rtol=0)
    torch.testing.assert_close(found @ found.T, torch.eye(6), atol=1e-5, rtol=0)


def test_tables_come_into_the_basis_of_the_networks_and_new_items_with_them() -> None:
    rotation = orthogonal(16, seed=2)
    start = trainer().snapshot().model
    warm = trainer(learnt(rotation=rotation)).snapshot().model
    for table, expected in zip(tables(warm), tables(start), strict=True):
        torch.testing.assert_close(table, expected @ rotation, atol=1e-4, rtol=0)
    assert not torch.allclose(tables(warm)[0][NEW], tables(start)[0][NEW], atol=1e-2)


def test_at_no_share_a_warm_start_ranks_as_one_anew() -> None:
    anew, warm = trainer().snapshot(), trainer(learnt()).snapshot(0.0)
    ours, theirs = (
        catalogue_scores(each, questions()) / each.model.log_temperature.exp().item()
        for each in (warm, anew)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_networks_and_biases_are_as_if_all_of_the_way_had_been_taken() -> None:
    whole, part = trained().snapshot(1.0).model, trainer(learnt(0.5)).snapshot(1.0).model
    for layer, expected in zip(last_layers(part), last_layers(whole), strict=True):
        torch.testing.assert_close(layer.weight, expected.weight)
        assert expected.weight.abs().max() > 0
    old = [row for row in range(N) if row not in NEW]
    torch.testing.assert_close(part.item.bias[old], whole.item.bias[old])
    assert part.item.bias[NEW].eq(0).all() and whole.item.bias[NEW].ne(0).all()
    torch.testing.assert_close(part.log_temperature, whole.log_temperature)


def test_items_are_found_by_id_wherever_their_rows_were() -> None:
    scorer, order = trained().snapshot(), np.random.default_rng(3).permutation(N)
    moved = copy.deepcopy(scorer.model)
    with torch.no_grad():
        for table in (*tables(moved), moved.item.bias, moved.item.known):
            table.copy_(table[torch.from_numpy(order)])
    rows = np.argsort(order)
    found = trainer(Learnt(moved, scorer.encoder, 1.0, rows)).snapshot()
    np.testing.assert_allclose(
        catalogue_scores(found, questions()), catalogue_scores(scorer, questions()), atol=1e-3
    )


def test_what_is_only_a_start_has_learnt_nothing() -> None:
    assert Learnt.of(trainer().snapshot(0.0), 0.0) is None
