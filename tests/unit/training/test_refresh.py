"""A refresh learns from the database alone, one at a time."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from models.release import Release
from services.common.database import open_database
from services.common.erased import bury
from services.common.leases import Lease
from services.common.releases import ReleaseRegistry
from services.common.stored import StoredRecommendations
from services.features.event_log import EventLog
from services.features.events import Event
from training.config import TowerConfig, TrainingConfig
from training.job import train_from_log
from training.readers import read
from training.refresh import LEASE, RefreshError, main, refresh, settings_of
from training.synthetic import World, write_world

CONFIG = TrainingConfig(stored_items=7, threads=1)


@dataclass
class Place:
    """A trained system that is down."""

    url: str
    root: Path
    engine: Engine
    world: World
    first: Release

    @property
    def registry(self) -> ReleaseRegistry:
        return ReleaseRegistry(self.engine)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("refresh")
    url, root = f"sqlite:///{folder}/tandem.db", folder / "releases"
    root.mkdir()
    world = write_world(folder / "world", n_users=30, n_items=60)
    first = train_from_log(
        read(world.path),
        database_url=url,
        release_root=root,
        activate_at_start=True,
        config=CONFIG,
    )
    engine = open_database(url)
    ReleaseRegistry(engine).activate(first.release_id)
    yield Place(url, root, engine, world, first)
    engine.dispose()


def test_live_events_are_learnt_from_and_all_that_was_known_stays_known(place: Place) -> None:
    item = place.world.item_ids[0]
    EventLog(place.engine).append([Event("new-1", "new-user", item, 4, 0.0, time.time(), "north")])
    served = []

    def activate(release_id: str) -> bool:
        served.append(release_id)
        place.registry.activate(release_id)
        return True

    done = refresh(place.url, place.root, activate=activate)
    release, before = done.release, place.first
    assert done.activated and served == [release.release_id] == [place.registry.active()]
    assert release.manifest.n_events == before.manifest.n_events + 1
    assert release.items.ids.tolist() == before.items.ids.tolist()
    assert release.items.genres == before.items.genres
    assert release.items.creators == before.items.creators
    assert release.items.titles.tolist() == before.items.titles.tolist()
    assert release.users["user_id"].tolist() == [*before.users["user_id"], "new-user"]
    for column in ("region", "friends"):
        known = release.users[column].map(list if column == "friends" else str).tolist()[:-1]
        assert known == before.users[column].map(list if column == "friends" else str).tolist()
    assert StoredRecommendations(place.engine).read(release.release_id, "new-user") is not None
    assert place.registry.previous() == before.release_id
    assert done.garbage.kept == [release.release_id, before.release_id]


def test_the_settings_of_the_release_are_kept_and_its_defaults_follow_the_log(
    place: Place,
) -> None:
    assert settings_of(place.first) == CONFIG
    (without := place.root.parent / "without").mkdir()
    (without / "release.json").write_text((place.first.path / "release.json").read_text())
    assert settings_of(Release(without)) == TrainingConfig()
    chosen = TrainingConfig(towers=TowerConfig(dimensions=16, passes=0))
    (without / "training.toml").write_text(chosen.to_toml())
    assert settings_of(Release(without)) == chosen


def test_a_second_refresh_is_refused_and_says_who_is_at_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = place.registry.list()
    other = Lease(place.engine, LEASE, 60.0, "another-host, process 7")
    assert other.take()
    said = r"in progress since \d{4}-\d\d-\d\d .* UTC \(another-host, process 7\)"
    with pytest.raises(RefreshError, match=said):
        refresh(place.url, place.root, activate=None)
    arguments = ["refresh", "--database-url", place.url, "--release-root", str(place.root)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match=said):
        main()
    other.give_back()
    assert place.registry.list() == known


def test_a_refresh_that_stood_still_until_another_began_registers_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, other = place.registry.list(), Lease(place.engine, LEASE, 60.0, "faster")
    monkeypatch.setattr("training.refresh.LEASE_SECONDS", -1.0)

    def lose(*_: object) -> object:
        assert other.take()
        return Release(place.first.path)

    monkeypatch.setattr("training.job.train", lose)
    with pytest.raises(RefreshError, match="faster"):
        refresh(place.url, place.root, activate=None)
    other.give_back()
    assert place.registry.list() == known


def test_without_a_release_there_is_nothing_to_refresh(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tandem.db"
    for _ in range(2):  # the first attempt leaves no lease
        with pytest.raises(RefreshError, match="train one first"):
            refresh(url, tmp_path / "releases", activate=None)


def test_towers_go_on_from_the_release_before_until_a_user_is_erased(tmp_path: Path) -> None:
    (root := tmp_path / "releases").mkdir()
    url, world = (
        f"sqlite:///{tmp_path}/tandem.db",
        write_world(tmp_path / "world", n_users=150, n_items=100),
    )
    towers = TowerConfig(dimensions=16, hidden=32, passes=2, learning_rate=5e-3, batch=128)
    first = train_from_log(
        read(world.path),
        database_url=url,
        release_root=root,
        activate_at_start=True,
        config=replace(CONFIG, towers=towers),
    )
    assert first.manifest.config["start"].startswith("anew")
    warm = refresh(url, root, activate=None).release
    assert warm.manifest.config["start"] == f"warm from {first.release_id}"
    engine = open_database(url)
    with engine.begin() as db:
        bury(db, str(first.users["user_id"].iloc[0]), time.time(), 1)
    anew = refresh(url, root, activate=None).release
    engine.dispose()
    reason = f"a user was erased since the day before {warm.release_id}"
    assert anew.manifest.config["start"] == f"anew: {reason}"
