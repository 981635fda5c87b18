"""Releases in memory: one load for all who wait, few at a time, clear refusals."""

import asyncio
import threading
import time
from functools import partial

import pytest

from models.release import ITEM_FACTORS
from services.common.errors import FailedPrecondition
from services.retrieval.loaded import LoadedRelease, LoadedReleases, load_release
from tests.unit.retrieval.world import World, write_release


class Recorder:
    def __init__(self, world: World) -> None:
        self.loads: list[str] = []
        self.threads: set[int] = set()
        self.held: list[str] = []
        self.evicted: list[str] = []
        self._world = world

    def load(self, release_id: str) -> LoadedRelease:
        self.loads.append(release_id)
        self.threads.add(threading.get_ident())
        time.sleep(0.05)
        return self._world.loaded

    def releases(self, most: int = 2) -> LoadedReleases:
        return LoadedReleases(
            self.load, most, lambda loaded: self.held.append(loaded.release_id), self.evicted.append
        )


@pytest.fixture
def recorder(world: World) -> Recorder:
    return Recorder(world)


async def test_concurrent_loads_of_one_release_share_one_load(recorder: Recorder) -> None:
    releases = recorder.releases()
    await asyncio.gather(*(releases.get("a") for _ in range(20)))
    assert recorder.loads == ["a"]
    assert threading.get_ident() not in recorder.threads


async def test_the_release_used_longest_ago_is_let_go(recorder: Recorder) -> None:
    releases = recorder.releases(most=2)
    for release_id in ("a", "b", "a", "c"):
        await releases.get(release_id)
    assert recorder.evicted == ["b"]
    await releases.get("a")
    assert recorder.loads == ["a", "b", "c"]


async def test_a_caller_that_gives_up_leaves_the_load_to_the_others(recorder: Recorder) -> None:
    releases = recorder.releases()
    impatient = asyncio.create_task(releases.get("a"))
    patient = asyncio.create_task(releases.get("a"))
    await asyncio.sleep(0.01)
    impatient.cancel()
    assert await patient is not None
    assert recorder.loads == ["a"]


async def test_a_failed_load_is_tried_again(world: World) -> None:
    releases = LoadedReleases(partial(load_release, world.root), 2, lambda _: None, lambda _: None)
    for _ in range(2):
        with pytest.raises(FailedPrecondition, match="no-such-release"):
            await releases.get("no-such-release")
    assert await releases.get(world.loaded.release_id) is not None


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "/etc"])
def test_a_release_id_is_never_a_path(world: World, name: str) -> None:
    with pytest.raises(FailedPrecondition):
        load_release(world.root, name)


def test_a_damaged_release_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("damaged")
    release = write_release(root, 50)
    file = release.path / ITEM_FACTORS
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(FailedPrecondition, match="checksum"):
        load_release(root, release.release_id)
