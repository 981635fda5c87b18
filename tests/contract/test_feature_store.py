"""What an online store promises: the twin in memory, Feast on SQLite, Feast on Redis."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from services.features.event_log import History
from services.features.events import Event
from services.features.memory import InMemoryStore
from services.features.release_rows import ItemMetadata, RowCounts, UserProfile
from services.features.repo.config import repo_config
from services.features.sessions import Session
from services.features.store import FeastStore, FeatureStore
from tests.contract.feature_fixtures import MakeSettings


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=pytest.mark.redis)])
async def store(
    request: pytest.FixtureRequest, make_settings: MakeSettings
) -> AsyncIterator[FeatureStore]:
    if request.param == "memory":
        yield InMemoryStore()
        return
    settings = make_settings()
    if request.param == "redis":
        address = request.getfixturevalue("empty_redis")
        settings = make_settings(online_store="redis", redis=address)
    feast = FeastStore(repo_config(settings))
    await feast.open()
    yield feast
    await feast.close()


def session(version: int, length: int = 1) -> Session:
    events = [
        Event(f"e{n}", "u", f"i{n}", n % 11 + 1, n / 3, 1.7e9 + n + 0.25, "de")
        for n in range(length)
    ]
    return Session.of(History(events, version))


async def stored(store: FeatureStore, user_id: str = "u") -> Session:
    return (await store.read_user(user_id, "r"))[0]


async def test_a_session_is_read_back_exactly(store: FeatureStore) -> None:
    await store.push_sessions({"u": session(3, length=100)})
    assert await stored(store) == session(3, length=100)


async def test_an_unknown_user_has_an_empty_session_and_profile(store: FeatureStore) -> None:
    assert await store.read_user("nobody", "r") == (Session(), UserProfile("nobody"))


async def test_a_late_session_does_not_replace_a_newer_one(store: FeatureStore) -> None:
    await store.push_sessions({"u": session(5)})
    await store.push_sessions({"u": session(4, length=2)})
    assert await stored(store) == session(5)


async def test_a_session_of_the_same_version_changes_nothing(store: FeatureStore) -> None:
    await store.push_sessions({"u": session(5)})
    await store.push_sessions({"u": session(5, length=2)})
    assert await stored(store) == session(5)


async def test_consecutive_versions_each_replace_the_one_before(store: FeatureStore) -> None:
    for version in range(1, 6):
        await store.push_sessions({"u": session(version, length=version)})
        assert await stored(store) == session(version, length=version)


async def test_one_stale_session_does_not_keep_the_others_of_its_push_out(
    store: FeatureStore,
) -> None:
    await store.push_sessions({"a": session(9)})
    await store.push_sessions({"a": session(2), "b": session(2), "c": session(1)})
    versions = [(await stored(store, user)).version for user in ("a", "b", "c")]
    assert versions == [9, 2, 1]


async def test_after_concurrent_pushes_in_any_order_the_newest_is_stored(
    store: FeatureStore,
) -> None:
    versions = list(range(1, 41))
    random.Random(3).shuffle(versions)
    await asyncio.gather(*(store.push_sessions({"u": session(v, length=v)}) for v in versions))
    assert await stored(store) == session(40, length=40)


async def test_concurrent_reads_and_pushes_of_many_users_all_succeed(store: FeatureStore) -> None:
    async def live(user: int) -> None:
        for version in range(1, 11):
            await store.push_sessions({f"u{user}": session(version)})
            assert (await stored(store, f"u{user}")).version == version

    await asyncio.gather(*(live(user) for user in range(8)))


async def test_what_one_release_stores_another_does_not_see(store: FeatureStore) -> None:
    old = UserProfile("u", "de", ["a", "b"], [0.5, -1.5])
    new = UserProfile("u", "fr", ["a"], [2.5])
    await store.push_users("old", [old])
    await store.push_users("new", [new])
    await store.push_items("old", [ItemMetadata("i", "Old title", ["Drama"], 1990, True, [1.0])])
    assert (await store.read_user("u", "old"))[1] == old
    assert (await store.read_user("u", "new"))[1] == new
    assert [item.title for item in await store.read_items("old", ["i"])] == ["Old title"]
    assert await store.read_items("new", ["i"]) == []


async def test_a_session_belongs_to_no_release(store: FeatureStore) -> None:
    await store.push_sessions({"u": session(1)})
    for release_id in ("old", "new", ""):
        assert (await store.read_user("u", release_id))[0] == session(1)


async def test_items_come_in_the_order_asked_for_without_unknown_ones(store: FeatureStore) -> None:
    items = [
        ItemMetadata(f"i{n}", f"T{n}", ["War"], 1950, n % 2 == 0, [n + 0.5]) for n in range(250)
    ]
    await store.push_items("r", items)
    asked = [f"i{n}" for n in reversed(range(250))]
    assert await store.read_items("r", ["ghost", *asked]) == items[::-1]


async def test_an_item_of_which_nothing_is_known_is_still_an_item(store: FeatureStore) -> None:
    await store.push_items("r", [ItemMetadata("bare")])
    [item] = await store.read_items("r", ["bare"])
    assert (item.title, list(item.genres), item.year, item.adult) == ("", [], 0, False)


async def test_a_release_is_complete_only_once_it_is_said_to_be(store: FeatureStore) -> None:
    await store.push_items("r", [ItemMetadata("i")])
    assert await store.read_release("r") is None
    await store.complete_release("r", RowCounts(users=0, items=1))
    assert await store.read_release("r") == RowCounts(users=0, items=1)
    assert await store.read_release("other") is None


async def test_ids_may_hold_any_printable_character(store: FeatureStore) -> None:
    for user_id in ("a b", "ü/☃", "x'; DROP TABLE users; --", "k" * 128):
        await store.push_sessions({user_id: session(1)})
        assert (await stored(store, user_id)).version == 1


async def test_an_erased_user_leaves_nothing_and_others_keep_all(store: FeatureStore) -> None:
    await store.push_sessions({"u": session(9), "uu": session(9)})
    other = UserProfile("uu", "de", ["a"], [1.0])
    for release_id in ("old", "new"):
        await store.push_users(
            release_id, [UserProfile(user, "de", ["a"], [1.0]) for user in ("u", "uu")]
        )
    await store.erase_user("u", ["old", "new", "ghost"])
    await store.erase_user("nobody", [])
    for release_id in ("old", "new"):
        assert await store.read_user("u", release_id) == (Session(), UserProfile("u"))
        assert await store.read_user("uu", release_id) == (session(9), other)
    await store.push_sessions({"u": session(1)})  # no old row is there to win over it
    assert await stored(store) == session(1)


async def test_a_dropped_release_leaves_nothing_and_others_keep_all(store: FeatureStore) -> None:
    gone, stays = "20261126-120000-0123abcd", "20261126-120000-0123abce"
    users = [UserProfile(f"u{n}", "de", ["a"], [1.0]) for n in range(700)]
    items = [ItemMetadata(f"i{n}", f"T{n}", ["War"], 1950, True, [n + 0.5]) for n in range(700)]
    for release_id in (gone, stays):
        await store.push_users(release_id, users)
        await store.push_items(release_id, items)
        await store.complete_release(release_id, RowCounts(700, 700))
    namesake = UserProfile(gone, "de", ["a"], [1.0])
    await store.push_users(stays, [namesake])
    await store.push_sessions({"u0": session(3)})
    for _ in range(2):
        await store.drop_release(gone)
    await store.drop_release("never-there")
    assert await store.read_release(gone) is None
    assert await store.read_items(gone, [item.item_id for item in items]) == []
    assert await store.read_user("u0", gone) == (session(3), UserProfile("u0"))
    assert await store.read_user("u699", gone) == (Session(), UserProfile("u699"))
    assert await store.read_release(stays) == RowCounts(700, 700)
    assert await store.read_items(stays, [item.item_id for item in items]) == items
    assert await store.read_user("u0", stays) == (session(3), users[0])
    assert await store.read_user(gone, stays) == (Session(), namesake)


@pytest.mark.redis
@pytest.mark.postgres
async def test_replicas_that_start_together_on_an_empty_sql_registry_all_open(
    make_settings: MakeSettings, postgres_url: str, empty_redis: str
) -> None:
    settings = make_settings(
        online_store="redis", redis=empty_redis, registry_type="sql", registry_path=postgres_url
    )
    stores = [FeastStore(repo_config(settings)) for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    await stores[0].push_sessions({"u": session(1)})
    for store in stores:
        assert (await stored(store)).version == 1
        await store.close()
