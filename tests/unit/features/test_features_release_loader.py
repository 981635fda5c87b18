"""A release reaches the online store whole, once, or not at all."""

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest

from services.common.errors import FailedPrecondition
from services.features.memory import InMemoryStore
from services.features.release_loader import ReleaseLoader
from services.features.release_rows import RowCounts
from tests.contract.feature_fixtures import MakeRelease


async def nobody(_: Collection[str]) -> set[str]:
    """Erased users: none."""
    return set()


async def test_all_rows_of_a_release_are_stored(make_release: MakeRelease) -> None:
    release, store = make_release(n_users=120, n_items=250), InMemoryStore()
    counts = await ReleaseLoader(release.path.parent, store, nobody).prepare(release.release_id)
    assert counts == RowCounts(users=120, items=250)
    assert await store.read_release(release.release_id) == counts
    items = await store.read_items(release.release_id, release.items.ids.tolist())
    assert [item.title for item in items] == release.items.titles.tolist()
    assert [item.vector for item in items] == release.item_vectors.tolist()
    assert [tuple(item.genres) for item in items] == release.items.genres
    last = (await store.read_user("u119", release.release_id))[1]
    assert last.factors == release.user_factors[119].tolist()


async def test_a_release_that_is_stored_is_not_read_again(
    make_release: MakeRelease, tmp_path: Path
) -> None:
    release, store = make_release(), InMemoryStore()
    counts = await ReleaseLoader(release.path.parent, store, nobody).prepare(release.release_id)
    elsewhere = ReleaseLoader(tmp_path / "nothing-here", store, nobody)
    assert await elsewhere.prepare(release.release_id) == counts


async def test_callers_at_the_same_time_share_one_push(make_release: MakeRelease) -> None:
    release, store = make_release(), InMemoryStore()
    loader = ReleaseLoader(release.path.parent, store, nobody)
    first, second = await asyncio.gather(
        loader.prepare(release.release_id), loader.prepare(release.release_id)
    )
    assert first is second


class ForgetfulStore(InMemoryStore):
    def forget(self) -> None:
        super().__init__()


async def test_a_release_that_the_store_has_lost_is_pushed_again(make_release: MakeRelease) -> None:
    release, store = make_release(), ForgetfulStore()
    loader = ReleaseLoader(release.path.parent, store, nobody, look_again=0.0)
    counts = await loader.prepare(release.release_id)
    store.forget()
    async with asyncio.timeout(5):
        while await store.read_release(release.release_id) is None:
            assert await loader.prepare(release.release_id) == counts
            await asyncio.sleep(0)
    user = (await store.read_user("u1", release.release_id))[1]
    assert user.factors == release.user_factors[1].tolist()


async def test_a_caller_that_gives_up_does_not_stop_the_push(make_release: MakeRelease) -> None:
    release, store = make_release(), InMemoryStore()
    loader = ReleaseLoader(release.path.parent, store, nobody)
    impatient = asyncio.create_task(loader.prepare(release.release_id))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await loader.prepare(release.release_id)).items == 250


@pytest.mark.parametrize("name", ["missing", "..", "a/b", "../missing"])
async def test_a_release_that_does_not_exist_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FailedPrecondition, match=r"^release_id: "):
        await ReleaseLoader(tmp_path, InMemoryStore(), nobody).prepare(name)


async def test_a_damaged_release_is_refused_and_can_be_tried_again(
    make_release: MakeRelease,
) -> None:
    release, store = make_release(), InMemoryStore()
    loader = ReleaseLoader(release.path.parent, store, nobody)
    factors = release.path / "user_factors.npy"
    content = factors.read_bytes()
    factors.unlink()
    with pytest.raises(FailedPrecondition, match=r"user_factors\.npy"):
        await loader.prepare(release.release_id)
    assert await store.read_release(release.release_id) is None
    factors.write_bytes(content)
    assert (await loader.prepare(release.release_id)).users == 3


async def test_users_who_were_erased_are_left_out(make_release: MakeRelease) -> None:
    async def erased(users: Collection[str]) -> set[str]:
        return {"u1"}.intersection(users)

    release, store = make_release(), InMemoryStore()
    counts = await ReleaseLoader(release.path.parent, store, erased).prepare(release.release_id)
    assert counts.users == 2
    profiles = [(await store.read_user(f"u{n}", release.release_id))[1] for n in range(3)]
    assert [bool(profile.factors) for profile in profiles] == [True, False, True]


async def test_the_push_of_a_release_that_is_no_more_ends(make_release: MakeRelease) -> None:
    release, store = make_release(n_users=500), InMemoryStore()
    loader = ReleaseLoader(release.path.parent, store, nobody)
    pushing = asyncio.create_task(loader.prepare(release.release_id))
    await asyncio.sleep(0)
    loader.forget(release.release_id)
    with pytest.raises(asyncio.CancelledError):
        await pushing
    assert loader.prepared == set()
    loader.forget("never-there")
    assert await loader.prepare(release.release_id) == RowCounts(users=500, items=250)
