"""What is collected, and what never is, on SQLite and PostgreSQL alike."""

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from services.common.collected import CollectedReleases
from services.common.errors import NotFound
from services.common.garbage import BUILD_SECONDS, CHECKPOINT_SECONDS, collect
from services.common.releases import ReleaseRegistry
from services.common.stored import StoredRecommendations
from tests.contract.databases import engine

__all__ = ["engine"]


def release_id(n: int) -> str:
    return f"20261126-1200{n:02}-0000000{n % 10}"


class Place:
    """A database and folders with releases in them that hold nothing but a file."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.root = path / "releases"
        self.checkpoints = path / "checkpoints"
        self.engine = engine
        self.registry = ReleaseRegistry(self.engine)
        self.stored = StoredRecommendations(self.engine)

    def folder(self, name: str, age: float = 0.0) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True)
        (folder / "release.json").write_text("{}")
        for path in (folder / "release.json", folder):
            _age(path, age)
        return folder

    def release(self, n: int, *, active: bool = False, at_start: bool = False) -> str:
        named = release_id(n)
        self.folder(named)
        self.stored.write(named, [("u1", ["i1"], [1.0]), ("u2", ["i1"], [1.0])])
        self.registry.add(named, {}, activate_at_start=at_start)
        if active:
            self.registry.activate(named)
        return named

    def folders(self) -> set[str]:
        return {path.name for path in self.root.iterdir()}


def _age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def place(tmp_path: Path, engine: Engine) -> Place:
    return Place(tmp_path, engine)


@pytest.mark.parametrize("keep", [0, 1, 3, 10])
def test_the_active_release_and_the_one_before_it_always_stay(place: Place, keep: int) -> None:
    previous, active = (place.release(n, active=True) for n in (0, 1))
    later = [place.release(n) for n in range(2, 8)]
    found = collect(place.engine, place.root, keep=keep)
    stay = {previous, active, *later[len(later) - min(keep, len(later)) :]}
    assert set(found.kept) == stay == place.folders() == place.stored.releases()
    assert set(found.releases) == {*later} - stay
    assert (place.registry.active(), place.registry.previous()) == (active, previous)


def test_after_a_rollback_the_release_that_was_left_is_the_one_to_go_back_to(place: Place) -> None:
    first, second, third = (place.release(n, active=True) for n in range(3))
    place.registry.activate(second)
    collect(place.engine, place.root, keep=0)
    assert place.folders() == {second, third}
    assert place.registry.previous() == third
    with pytest.raises(NotFound):
        place.registry.activate(first)
    assert place.registry.active() == second


def test_what_waits_for_the_next_start_stays(place: Place) -> None:
    active, waiting = place.release(0, active=True), place.release(1, at_start=True)
    collect(place.engine, place.root, keep=0)
    assert place.folders() == {active, waiting}
    assert place.registry.pending() == waiting


def test_only_saying_so_changes_nothing(place: Place) -> None:
    ids = [place.release(n, active=n < 2) for n in range(6)]
    place.folder(release_id(9), 2 * BUILD_SECONDS)
    said = collect(place.engine, place.root, keep=1, dry_run=True)
    assert place.folders() == {*ids, release_id(9)}
    assert len(place.registry.list()) == 6 and not CollectedReleases(place.engine).all()
    assert said.stored_lists == 6
    assert collect(place.engine, place.root, keep=1) == said


def test_what_builds_left_goes_when_it_is_old_enough(place: Place) -> None:
    active = place.release(0, active=True)
    building = f".{release_id(1)}.building"
    place.folder(building, 2 * BUILD_SECONDS)
    place.folder(release_id(2), 2 * BUILD_SECONDS)
    young = {place.folder(release_id(3)).name, place.folder(f".{release_id(4)}.building").name}
    other = place.folder("somebody-elses", 2 * BUILD_SECONDS).name
    place.stored.write(release_id(2), [("u", ["i"], [1.0])])
    place.stored.write(release_id(3), [("u", ["i"], [1.0])])
    place.stored.write(release_id(5), [("u", ["i"], [1.0])])
    found = collect(place.engine, place.root)
    assert set(found.folders) == {building, release_id(2)}
    assert place.folders() == {active, other, *young}
    assert found.stored_lists == 2
    assert place.stored.releases() == {active, release_id(3)}


def test_a_collection_that_was_killed_is_finished_by_the_next(place: Place) -> None:
    place.release(0, active=True)
    gone = place.release(1)
    collect(place.engine, place.root, keep=0)
    place.folder(gone)  # as if it had been killed before it came to the folder: a young one
    place.stored.write(gone, [("u", ["i"], [1.0])])
    found = collect(place.engine, place.root)
    assert (found.folders, found.stored_lists) == ([gone], 1)


def test_old_checkpoints_go(place: Place) -> None:
    place.checkpoints.mkdir()
    for name, age in (("a-trial.pt", 2.0), ("b-trial.pt.7.new", 2.0), ("c-final.pt", 0.5)):
        (place.checkpoints / name).touch()
        _age(place.checkpoints / name, age * CHECKPOINT_SECONDS)
    found = collect(place.engine, place.root)
    assert found.checkpoints == ["a-trial.pt", "b-trial.pt.7.new"]
    assert [path.name for path in place.checkpoints.iterdir()] == ["c-final.pt"]


def test_services_are_left_word_of_what_they_have_to_drop(place: Place) -> None:
    place.release(0, active=True)
    gone = place.release(1)
    collect(place.engine, place.root, keep=0)
    collected = CollectedReleases(place.engine)
    assert collected.all() == collected.with_rows() == [gone]
    collected.rows_dropped(gone)
    assert (collected.all(), collected.with_rows()) == ([gone], [])


def test_of_a_refused_release_services_drop_their_part_while_the_folder_stays(
    place: Place,
) -> None:
    active, refused = place.release(0, active=True), place.release(1)
    place.registry.refuse(refused, "recall")
    assert CollectedReleases(place.engine).with_rows() == [refused]
    assert collect(place.engine, place.root).kept == [refused, active]
    assert place.folders() == {active, refused}
    assert place.stored.releases() == {active, refused}
