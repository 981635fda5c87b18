"""A refresh learns from the database alone, one at a time, on SQLite and PostgreSQL alike."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from models.release import Release
from services.common.database import open_database
from services.common.erased import bury
from services.common.leases import Lease
from services.common.releases import ReleaseRegistry
from services.common.stored import StoredRecommendations
from services.features.event_log import EventLog
from services.features.events import Event
from tests.contract.feature_fixtures import create_database
from training.commands import run
from training.config import TowerConfig, TrainingConfig
from training.job import train_from_log
from training.readers import read
from training.refresh import LEASE, RefreshError, main, refresh, settings_of
from training.synthetic import World, write_world

POLICY = "OMP_WAIT_POLICY"
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


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("refresh")
    url = f"sqlite:///{folder}/tandem.db"
    if request.param == "postgres":
        url = create_database(request.getfixturevalue("postgres_address"))
    (root := folder / "releases").mkdir()
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
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    known = place.registry.list()
    other = Lease(place.engine, LEASE, 60.0, "another-host, process 7")
    assert other.take()
    said = r"in progress since \d{4}-\d\d-\d\d .* UTC \(another-host, process 7\)"
    with pytest.raises(RefreshError, match=said):
        refresh(place.url, place.root, activate=None)
    with pytest.raises(SystemExit) as ended:
        run(main, ["--database-url", place.url, "--release-root", str(place.root)])
    assert ended.value.code == 1
    assert re.match(f"error: a refresh is {said}", capsys.readouterr().err)
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


@pytest.mark.slow
def test_a_refresh_that_is_asked_to_end_gives_its_lease_back(place: Place) -> None:
    known = place.registry.list()
    arguments = ["--database-url", place.url, "--release-root", str(place.root)]
    command = [sys.executable, "-m", "training.refresh", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not leases(place):
            assert process.poll() is None
            time.sleep(0.02)
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said.splitlines()[-1]) == (130, "error: interrupted")
    assert leases(place) == 0  # not only one whose holder is gone
    assert place.registry.list() == known
    assert {path.name for path in place.root.iterdir()} == {each.release_id for each in known}


def leases(place: Place) -> int:
    with place.engine.connect() as db:
        return int(db.execute(text("SELECT count(*) FROM leases")).scalar_one())


AT_THE_FIRST_IMPORT = """
import os, runpy, sys

class Finder:
    def find_spec(self, name, *_):
        if name in ("numpy", "torch"):
            print(os.environ.get("OMP_WAIT_POLICY"), flush=True)
            os._exit(0)

sys.meta_path.insert(0, Finder())
runpy.run_module("training.refresh", run_name="__main__")
"""


@pytest.mark.parametrize(("set_before", "held"), [({}, "PASSIVE"), ({POLICY: "ACTIVE"}, "ACTIVE")])
def test_threads_of_a_refresh_do_not_spin_unless_told_to(
    set_before: dict[str, str], held: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != POLICY}
    command = [sys.executable, "-c", AT_THE_FIRST_IMPORT]
    environment |= set_before
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{held}\n"


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
