"""Tables of the parts, against the dense matrices they are cut from."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.events import EventKind
from models.evidence import EvidenceConfig
from models.neighbours import Neighbours
from tests.unit.training.logs import sequences
from training.baselines.histories import binary
from training.config import TrainingConfig, TransitionConfig
from training.evidence import ease_table, transition_table
from training.sequences import EventSequences

N = 9  # row 8 has no event
CONFIG = TrainingConfig(
    transitions=TransitionConfig(lags=2, decay=0.5),
    evidence=EvidenceConfig(neighbours=N, ease_regularization=2.0),
)


def log(n_users: int = 30) -> EventSequences:
    rng = np.random.default_rng(3)
    return sequences(
        *(rng.choice(8, rng.integers(1, 7), replace=False).tolist() for _ in range(n_users))
    )


def dense(table: Neighbours) -> NDArray[np.float32]:
    return table.matrix(N).toarray()


def test_transitions_are_smoothed_decayed_shares_of_what_follows() -> None:
    table = transition_table(sequences([0, 1, 2], [0, 2]), N, CONFIG)
    expected = np.zeros((N, N))
    expected[0, 1], expected[0, 2] = 1 / (2.5 + 5), 1.5 / (2.5 + 5)
    expected[1, 2] = 1 / (1 + 5)
    np.testing.assert_allclose(dense(table), expected, rtol=1e-6)
    assert table.rows[0, :3].tolist() == [2, 1, -1]


def test_nothing_follows_from_what_was_disliked() -> None:
    disliked = (1, EventKind.DISLIKE, 0.0)
    table = transition_table(sequences([0, disliked, 2]), N, CONFIG)
    assert table.rows[0, 0] == 2
    assert not (table.rows == 1).any()
    assert not table.scores[1].any()


@pytest.mark.parametrize("n_users", [4, 30])  # fewer than items, and more
def test_ease_keeps_the_positive_weights_of_the_closed_form(n_users: int) -> None:
    events = log(n_users)
    x = binary(events, N).toarray().astype(np.float64)
    p = np.linalg.inv(x.T @ x + 2 * np.eye(N))
    weights = -p / np.diag(p)
    np.fill_diagonal(weights, 0)
    known = np.isin(np.arange(N), events.rows)
    np.testing.assert_allclose(
        dense(ease_table(events, N, CONFIG))[known],
        np.maximum(weights, 0)[known],
        rtol=1e-3,
        atol=1e-5,
    )


@pytest.mark.parametrize("width", [1, 3, 100])
def test_only_the_largest_are_kept_and_never_more_than_there_are_items(width: int) -> None:
    narrow = replace(CONFIG, evidence=replace(CONFIG.evidence, neighbours=width))
    for make in (transition_table, ease_table):
        few, all_of_them = make(log(), N, narrow), make(log(), N, CONFIG)
        kept = min(width, N)
        assert few.rows.shape == few.scores.shape == (N, kept)
        np.testing.assert_array_equal(few.rows, all_of_them.rows[:, :kept])
        assert (few.scores[few.rows >= 0] > 0).all()
        assert not few.scores[few.rows < 0].any()


def test_an_item_without_events_leads_nowhere_and_nothing_leads_to_it() -> None:
    for table in (transition_table(log(), N, CONFIG), ease_table(log(), N, CONFIG)):
        assert (table.rows[8] == -1).all()
        assert not (table.rows == 8).any()
