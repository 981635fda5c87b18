from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from models.final_score import release_scorer
from models.history import UserHistory
from models.neighbours import item_neighbours
from models.release import Release, ReleaseError
from models.scorer import TwoTowerScorer
from services.common.probe_users import nearest_of, read_probe_users
from training.config import NeighbourConfig, TowerConfig, TrainingConfig, read_config
from training.data import DataError, InteractionData, merge
from training.pipeline import SETTINGS, train
from training.plots import RELEASE_PLOTS
from training.readers import read
from training.sequences import event_sequences
from training.synthetic import World, write_world
from training.utility import composite_utility

CONFIG = TrainingConfig(
    neighbours=NeighbourConfig(missing="ignore", min_support=3),
    towers=TowerConfig(dimensions=32, passes=1),
    stored_items=20,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def data(world: World) -> InteractionData:
    return read(world.path)


@pytest.fixture(scope="module")
def release(data: InteractionData, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return train(data, CONFIG, tmp_path_factory.mktemp("releases"))


def test_a_release_holds_every_part_and_verifies(release: Release, data: InteractionData) -> None:
    release.verify()
    n = len(data.items)
    assert len(release.items) == release.manifest.n_items == n
    assert release.items.creators == data.items["creators"].tolist()
    assert all(len(names) == 1 for names in release.items.creators)
    assert not release.items.available_from.any()
    assert np.isposinf(release.items.available_until).all()
    assert release.item_vectors.shape == (n, 34)
    assert release.item_factors.shape[0] == release.neighbour_rows.shape[0] == n
    assert release.user_factors.shape[0] == len(release.users) == len(data.users)
    assert sorted(release.popular_rows.tolist()) == list(range(n))
    assert release.manifest.cut_off == data.events["timestamp"].max()
    assert set(release.manifest.metrics) >= {"hr@10", "ndcg@10", "recall@100", "recall@500"}
    assert set(RELEASE_PLOTS) <= release.manifest.sha256.keys()
    assert [path.name for path in release.path.parent.iterdir()] == [release.release_id]


def test_the_finished_release_gives_probe_users_what_its_trainer_gave_them(
    release: Release,
) -> None:
    users, scorer = read_probe_users(release), release_scorer(release)
    assert len(users) == 64
    assert sum(not len(each.user.rows) for each in users) == 1
    assert any(len(each.user.around.trend) for each in users)
    n = len(release.items)
    nearest = nearest_of(n)
    for each in users:
        assert len(np.unique(each.rows)) == len(each.rows) == min(100, n)
        np.testing.assert_allclose(scorer.score(each.user, each.rows), each.scores, atol=1e-4)
        np.testing.assert_allclose(scorer.towers.user_vector(each.user), each.vector, atol=1e-5)
        order = np.argsort(-(release.item_vectors @ each.vector)).astype(np.int32)
        assert each.hits(release.item_vectors, order[:nearest]) == nearest
        assert each.hits(release.item_vectors, order[nearest + 5 :]) == 0


def test_the_saved_configuration_builds_the_same_release_again(
    release: Release, data: InteractionData, tmp_path: Path
) -> None:
    saved = read_config(release.path / SETTINGS)
    assert saved == CONFIG.for_events(len(data.events))
    again = train(data, saved, tmp_path)
    assert SETTINGS in again.manifest.sha256
    tables = {"items.parquet", "users.parquet", "stored.parquet", "two_tower.pt"}
    for name in again.manifest.sha256.keys() - tables:
        assert again.manifest.sha256[name] == release.manifest.sha256[name], name
    weights, other = (
        torch.load(each.model_path, weights_only=True)["weights"] for each in (release, again)
    )
    assert all(torch.equal(weights[name], other[name]) for name in weights)


def test_a_killed_build_goes_on_and_leaves_no_checkpoints(
    release: Release, data: InteractionData, tmp_path: Path
) -> None:
    releases, checkpoints = tmp_path / "releases", tmp_path / "checkpoints"

    def killed(stage: str, done: int, of: int) -> None:
        if stage == "evidence":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, CONFIG, releases, killed, checkpoints)
    assert list(checkpoints.iterdir())
    stages: set[str] = set()
    again = train(data, CONFIG, releases, lambda stage, *_: stages.add(stage), checkpoints)
    assert "evidence" in stages and "towers" not in stages
    np.testing.assert_array_equal(again.item_vectors, release.item_vectors)
    assert list(checkpoints.iterdir()) == []


def test_neighbours_are_those_of_the_configured_comparison(
    release: Release, data: InteractionData
) -> None:
    sequences = event_sequences(data)
    expected = item_neighbours(
        composite_utility(sequences, len(release.items)), missing="ignore", min_support=3
    )
    np.testing.assert_array_equal(release.neighbour_rows, expected.rows)
    np.testing.assert_array_equal(release.neighbour_scores, expected.scores)


def test_stored_lists_hold_unseen_items_best_first_as_the_scorer_ranks_them(
    release: Release, world: World
) -> None:
    stored = release.stored()
    assert len(stored) == len(release.users)
    for user_id, rows, scores in stored.itertuples(index=False):
        assert len(rows) == 20
        assert not set(release.items.ids[rows]) & world.seen(user_id)
        assert (np.diff(scores) <= 0).all()


def test_stored_lists_are_mostly_of_the_users_planted_taste(release: Release, world: World) -> None:
    hits = [
        world.taste_of(release.items.ids[row]) == world.favourite(user_id)
        for user_id, rows, _scores in release.stored().itertuples(index=False)
        for row in rows[:10]
    ]
    assert np.mean(hits) > 0.4  # one in eight by chance


def test_a_damaged_file_is_found_by_name(
    data: InteractionData, tmp_path: Path, release: Release
) -> None:
    for name in ("item_vectors.npy", "two_tower.pt"):
        copy = tmp_path / name
        copy.mkdir()
        for file in release.path.iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        content = bytearray((copy / name).read_bytes())
        content[-100] ^= 0xFF
        (copy / name).write_bytes(content)
        with pytest.raises(ReleaseError, match=name):
            Release(copy).verify()


def test_a_truncated_model_is_refused_by_the_scorer(release: Release, tmp_path: Path) -> None:
    for file in release.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[: 500 if "pt" in file.name else None])
    with pytest.raises(ReleaseError, match=r"two_tower\.pt"):
        TwoTowerScorer(Release(tmp_path))


def test_a_released_scorer_orders_a_new_user_by_popularity(release: Release) -> None:
    nobody = UserHistory(
        rows=np.empty(0, np.int32),
        kinds=np.empty(0, np.int8),
        ages=np.empty(0, np.float32),
        values=np.empty(0, np.float32),
        time=release.manifest.cut_off,
    )
    scorer = TwoTowerScorer(release)
    scores = scorer.score(nobody, release.popular_rows[:10])
    assert scores[0] == scorer.score(nobody, release.popular_rows).max()


def test_merged_events_come_in_order_and_bring_their_items(data: InteractionData) -> None:
    extra = pd.DataFrame(
        {
            "user_id": ["someone new"],
            "item_id": ["something new"],
            "kind": [3],
            "value": [0.0],
            "timestamp": [float(data.events["timestamp"].iloc[10])],
            "region": [""],
        }
    )
    merged = merge(data, extra)
    assert len(merged.events) == len(data.events) + 1
    assert merged.events["timestamp"].is_monotonic_increasing
    assert merged.items["item_id"].iloc[-1] == "something new"
    assert merged.users["user_id"].iloc[-1] == "someone new"


def test_a_log_without_events_is_refused_and_leaves_nothing(
    data: InteractionData, tmp_path: Path
) -> None:
    nothing = data.where(np.zeros(len(data.events), dtype=np.bool_))
    with pytest.raises(DataError, match="nothing to learn from"):
        train(nothing, CONFIG, tmp_path)
    assert list(tmp_path.iterdir()) == []
