"""A refresh goes on from towers that have not seen what it holds out, or says why it does not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.release import HELD_OUT, TRIAL, Release
from tests.unit.training.logs import catalogue, sequences
from training.checkpoints import checkpoints_of
from training.config import TowerConfig, TrainingConfig
from training.data import InteractionData, assemble, item_table
from training.learnt import Learnt
from training.pipeline import train
from training.sequences import EventSequences, event_sequences
from training.splits import before, held_out_events
from training.tower_trainer import TowerTrainer
from training.two_tower import TowerFit, fit_towers
from training.warm_start import NoStart, Start, held_out_rows, start_from

N = 30
TOWERS = TowerConfig(dimensions=16, hidden=32, passes=4, batch=128, learning_rate=5e-3)
CONFIG = TrainingConfig(towers=TOWERS, stored_items=5, threads=1)
NOTHING = Learnt.of(TowerTrainer(sequences([0, 1]), catalogue(9), CONFIG, np.inf).snapshot(), 1.0)

# (user, item, time, refresh before which the event comes in)
events = st.tuples(st.integers(0, 3), st.integers(0, 8), st.integers(0, 12), st.integers(0, 3))


def log_of(rows: list[tuple[int, int, int, int]], refresh: int) -> EventSequences:
    """What a refresh reads; an event's value is its number."""
    known = [(user, time, at) for at, (user, _, time, came) in enumerate(rows) if came <= refresh]
    order = [at for _, _, at in sorted(known)]
    counts = np.bincount([rows[at][0] for at in order], minlength=4)
    return EventSequences(
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        rows=np.array([rows[at][1] for at in order], dtype=np.int32),
        kinds=np.full(len(order), 4, dtype=np.int8),
        values=np.array(order, dtype=np.float32),
        times=np.array([rows[at][2] for at in order], dtype=np.float64),
        regions=np.zeros(len(order), dtype=np.int32),
        region_names=("",),
    )


@given(st.lists(events, max_size=60))
def test_nothing_that_a_refresh_holds_out_was_ever_seen_by_what_it_starts_from(
    rows: list[tuple[int, int, int, int]],
) -> None:
    assert NOTHING is not None
    seen: set[float] = set()
    start = None
    for refresh in range(4):
        log = log_of(rows, refresh)
        held_out = held_out_events(log, 0, start.unseen(log) if start else None)
        trial = before(held_out)
        seen |= set(trial.values.tolist())
        assert seen.isdisjoint(log.values[held_out.positions].tolist())
        cut_off = float(log.times.max(initial=0.0))
        pairs = held_out_rows(held_out).astype(np.int64)
        start = Start("before", NOTHING, pairs, cut_off, refresh)


def test_new_events_and_those_held_out_before_are_unseen() -> None:
    assert NOTHING is not None
    log = sequences([0, 1, 2, 3], [4, 5])
    start = Start("before", NOTHING, np.array([[0, 1], [1, 4]]), 120.0, 0)
    assert start.unseen(log).tolist() == [False, True, False, True, True, False]


def ring_events(n_users: int, length: int, first: int = 0) -> pd.DataFrame:
    """Users walk rings of ten items, `length` events from step `first` on."""
    starts = np.random.default_rng(0).integers(10, size=n_users)
    rows = [
        (
            f"u{user}",
            f"i{user % 3 * 10 + (int(begin) + step) % 10}",
            4,
            0.0,
            1e9 + step * 100 + user / 10,
            "",
        )
        for user, begin in enumerate(starts)
        for step in range(first, first + length)
    ]
    return pd.DataFrame(
        rows, columns=["user_id", "item_id", "kind", "value", "timestamp", "region"]
    )


def world(
    events: pd.DataFrame, genres: tuple[str, ...] = ("x", "y"), n: int = N
) -> InteractionData:
    table = pd.DataFrame(
        {
            "item_id": [f"i{row}" for row in range(n)],
            "title": "",
            "genres": [(genres[row % len(genres)],) for row in range(n)],
            "year": np.zeros(n, dtype=np.int16),
            "adult": False,
            "available": True,
            "creators": [()] * n,
            "available_from": 0.0,
            "available_until": np.inf,
        }
    )
    users = sorted(events["user_id"].unique())
    people = pd.DataFrame({"user_id": users, "region": "", "friends": [()] * len(users)})
    return assemble(events, table, people)


FIRST, LATER = world(ring_events(120, 6)), world(ring_events(125, 8), n=N + 1)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    made = train(FIRST, CONFIG, tmp_path_factory.mktemp("first"))
    assert made.manifest.config["share"] > 0  # else there were nothing to go on from
    return made


def found(release: Release, data: InteractionData, config: TrainingConfig = CONFIG) -> Start:
    return start_from(release, event_sequences(data), item_table(data), data.users, config)


def test_users_and_items_of_a_start_are_found_by_their_ids(release: Release) -> None:
    start = found(release, LATER)
    kept = np.load(release.path / HELD_OUT)
    users, items = release.users["user_id"].to_numpy(), release.items.ids
    for (user, item), (old_user, old_item) in zip(start.held_out, kept, strict=True):
        assert LATER.users["user_id"].iloc[user] == users[old_user]
        assert LATER.items["item_id"].iloc[item] == items[old_item]
    rows = start.learnt.rows
    assert items[rows[:N]].tolist() == LATER.items["item_id"].tolist()[:N] and rows[N] == -1


def test_a_later_log_is_learnt_from_warm_and_the_release_says_so(
    release: Release, tmp_path: Path
) -> None:
    made = train(LATER, CONFIG, tmp_path, base=release)
    assert made.manifest.config["start"] == f"warm from {release.release_id}"
    assert (made.manifest.config["warm_starts"], release.manifest.config["warm_starts"]) == (1, 0)
    assert made.manifest.config["passes"] <= TOWERS.warm_passes
    made.verify()
    assert found(made, LATER).warm_starts == 1


def other_towers(**changes: Any) -> TrainingConfig:
    return replace(CONFIG, towers=replace(TOWERS, **changes))


@pytest.mark.parametrize(
    ("data", "config", "reason"),
    [
        (LATER, other_towers(warm_starts=0), "after 0 warm starts"),
        (LATER, other_towers(dimensions=8), "settings differ"),
        (LATER, CONFIG.with_objective("utility"), "settings differ"),
        (LATER, other_towers(passes=0), "frozen tables"),
        (LATER, other_towers(factor_learning_rate=1e-3), "frozen tables"),
        (world(ring_events(120, 8), genres=("x", "y", "z")), CONFIG, "genres differ"),
        (world(ring_events(120, 8).assign(region="north")), CONFIG, "regions differ"),
        (world(ring_events(120, 3)), CONFIG, "has seen most"),
    ],
)
def test_what_cannot_be_gone_on_from_says_why(
    release: Release, data: InteractionData, config: TrainingConfig, reason: str
) -> None:
    with pytest.raises(NoStart, match=reason):
        found(release, data, config)


def test_a_release_without_its_trial_is_not_gone_on_from(release: Release, tmp_path: Path) -> None:
    for path in release.path.iterdir():
        if path.name != TRIAL:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(NoStart, match="keeps no towers of its trial"):
        found(Release(tmp_path), LATER)


class Killed(Exception):
    """Stands for the end of the process."""


def warm_fit(start: Start, folder: Path | None = None, killed_at: float = 2.0) -> TowerFit:
    def progress(done: int, of: int) -> None:
        if done > killed_at * of:
            raise Killed

    log, items = event_sequences(LATER), item_table(LATER)
    return fit_towers(log, items, CONFIG, np.inf, progress, folder, start)


def test_a_warm_start_is_deterministic_and_goes_on_where_it_was_killed(
    release: Release, tmp_path: Path
) -> None:
    start = found(release, LATER)
    whole = warm_fit(start)
    with pytest.raises(Killed):
        warm_fit(start, tmp_path, killed_at=0.6)  # in the second of two passes
    for other in (warm_fit(start), warm_fit(start, tmp_path)):
        assert other.validation == whole.validation
        for one, expected in ((other.scorer, whole.scorer), (other.unaware, whole.unaware)):
            np.testing.assert_array_equal(one.item_vectors, expected.item_vectors)
            weights, others = one.model.state_dict(), expected.model.state_dict()
            assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_checkpoints_belong_to_what_was_started_from(release: Release, tmp_path: Path) -> None:
    log, items, start = event_sequences(LATER), item_table(LATER), found(release, LATER)
    starts = [None, start, replace(start, release_id="another")]
    prints = {
        checkpoints_of(tmp_path, log, items, CONFIG, 1.0, each).fingerprint for each in starts
    }
    assert len(prints) == 3


def test_a_start_that_nothing_improves_on_is_still_served(release: Release) -> None:
    start = found(release, LATER)
    ruinous = other_towers(learning_rate=50.0)
    log, items = event_sequences(LATER), item_table(LATER)
    fit = fit_towers(log, items, ruinous, np.inf, start=start)
    assert fit.passes == 0
    assert len(fit.validation) == TOWERS.warm_passes + 1
    assert fit.gain >= max(0.0, *(metrics["ndcg@10"] for metrics in fit.validation)) * 0.99
