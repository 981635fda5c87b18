"""The release cache loads once, keeps a few, and gives the loop back while it loads."""

import asyncio
import threading
from pathlib import Path

import pytest

from models.release import ReleaseError
from services.common.errors import FailedPrecondition
from services.common.release_cache import ReleaseCache
from services.ranking.scoring import LoadedRelease, load_release
from tests.unit.ranking.releases import DotScorer, write_release


class Shelf:
    """Loads releases from a folder, counts the loads, and can hold them up."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loads: list[str] = []
        self.open = threading.Event()
        self.open.set()

    def load(self, release_id: str) -> LoadedRelease:
        self.loads.append(release_id)
        assert self.open.wait(10)
        return load_release(self.root / release_id, DotScorer)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


async def test_calls_for_one_release_share_one_load(shelf: Shelf) -> None:
    release_id = write_release(shelf.root).release_id
    cache = ReleaseCache(shelf.load, capacity=2)
    shelf.open.clear()
    calls = [asyncio.create_task(cache.get(release_id)) for _ in range(8)]
    await asyncio.sleep(0.05)  # the loop is free while the load is held up
    shelf.open.set()
    assert len({id(release) for release in await asyncio.gather(*calls)}) == 1
    assert shelf.loads == [release_id]


async def test_a_caller_that_gives_up_does_not_stop_the_load_of_the_others(shelf: Shelf) -> None:
    release_id = write_release(shelf.root).release_id
    cache = ReleaseCache(shelf.load, capacity=2)
    shelf.open.clear()
    impatient, patient = (asyncio.create_task(cache.get(release_id)) for _ in range(2))
    await asyncio.sleep(0.05)
    impatient.cancel()
    await asyncio.sleep(0)
    shelf.open.set()
    assert (await patient).release_id == release_id
    assert shelf.loads == [release_id]


async def test_the_least_recently_used_release_is_dropped(shelf: Shelf) -> None:
    first, second, third = (write_release(shelf.root).release_id for _ in range(3))
    cache = ReleaseCache(shelf.load, capacity=2)
    for release_id in (first, second, first, third, first, second):
        await cache.get(release_id)
    assert shelf.loads == [first, second, third, second]


async def test_a_missing_release_is_named_and_looked_for_again(shelf: Shelf) -> None:
    cache = ReleaseCache(shelf.load, capacity=2)
    for _ in range(2):
        with pytest.raises(FailedPrecondition, match="20260101-000000-abcdef01"):
            await cache.get("20260101-000000-abcdef01")
    assert len(shelf.loads) == 2


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", ".hidden", "a\0b"])
async def test_a_name_that_is_no_plain_folder_name_never_reaches_the_disk(
    shelf: Shelf, name: str
) -> None:
    with pytest.raises(FailedPrecondition):
        await ReleaseCache(shelf.load, capacity=2).get(name)
    assert shelf.loads == []


async def test_a_release_loaded_beforehand_is_not_loaded_again(shelf: Shelf) -> None:
    release_id = write_release(shelf.root).release_id
    cache = ReleaseCache(shelf.load, capacity=2)
    cache.keep(load_release(shelf.root / release_id, DotScorer))
    assert (await cache.get(release_id)).release_id == release_id
    assert shelf.loads == []


async def test_an_error_while_loading_reaches_every_caller(shelf: Shelf) -> None:
    def fail(release_id: str) -> LoadedRelease:
        shelf.open.wait(10)
        raise ReleaseError(f"{release_id}: damaged")

    cache = ReleaseCache(fail, capacity=2)
    shelf.open.clear()
    calls = [asyncio.create_task(cache.get("r1")) for _ in range(3)]
    await asyncio.sleep(0.05)
    shelf.open.set()
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert all(
        isinstance(error, FailedPrecondition) and "damaged" in str(error) for error in errors
    )


async def test_a_call_that_does_not_wait_is_told_and_the_load_goes_on(shelf: Shelf) -> None:
    release_id = write_release(shelf.root).release_id
    cache = ReleaseCache(shelf.load, capacity=2)
    shelf.open.clear()
    with pytest.raises(FailedPrecondition, match="not loaded here yet"):
        await cache.get(release_id, patience=0.02)
    shelf.open.set()
    assert (await cache.get(release_id)).release_id == release_id
    assert shelf.loads == [release_id]
