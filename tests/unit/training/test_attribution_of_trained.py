"""Of a trained model, the item that is named as a cause is what brought the item."""

from pathlib import Path

import numpy as np
import pytest

from bench.attribution import removals, summary, user_at_end
from training.config import TowerConfig, TrainingConfig
from training.data import item_table
from training.final_model import fit_final
from training.readers import read
from training.sequences import event_sequences
from training.synthetic import write_world
from training.trend import choose_half_life


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world"), n_users=150, n_items=200).path


def test_removing_the_named_cause_lowers_the_score_more_than_removing_another(world: Path) -> None:
    data = read(world)
    log, items = event_sequences(data), item_table(data)
    towers = TowerConfig(dimensions=16, hidden=32, passes=2)
    config = TrainingConfig(towers=towers).for_events(len(log))
    fit = fit_final(log, items, config, choose_half_life(log, len(items)), lambda *_: None)
    rng = np.random.default_rng(0)
    users = [user_at_end(log, user) for user in range(0, log.n_users, 5)]
    found = summary([each for user in users for each in removals(fit.scorer, user, rng)])
    assert found.pairs >= 250
    assert found.lower >= 0.9, found
    assert found.fall > 3 * found.other, found
