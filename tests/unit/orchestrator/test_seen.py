"""Seen items keep their rows up to date from one catalogue to the next, and are never too few."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from models.events import EventKind
from models.release import Release
from services.common.erased import user_hash
from services.common.live_items import LiveItem
from services.orchestrator.candidates import Query, RecentEvent
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.clients import UserFeatures
from services.orchestrator.hydrators import UserHydrator
from services.orchestrator.known_users import NOBODY, KnownUsers
from services.orchestrator.rules_yaml import ActiveRules
from services.orchestrator.seen import _LATEST, SeenItems, not_among, union
from tests.unit.orchestrator.conftest import N_ITEMS

MakeQuery = Callable[..., Query]


class OtherRelease:
    """A release of another id, whose items have other rows."""

    def __init__(self, release: Release) -> None:
        ids = release.items.ids[::-1][:30]
        self.items = replace(release.items, ids=ids)
        self.release_id = "another"
        self.item_vectors = release.item_vectors[:30]


def live(count: int) -> tuple[LiveItem, ...]:
    """Every third is one that the release holds."""
    return tuple(LiveItem(f"i{n}" if n % 3 == 0 else f"new-{n}", seq=n) for n in range(count))


def rows_of(item_ids: set[str], catalogue: Catalogue) -> list[int]:
    return sorted(catalogue.items.rows(list(item_ids)).tolist())


@pytest.mark.parametrize("seed", range(50))
def test_rows_are_those_of_a_full_look_up_whatever_changes(release: Release, seed: int) -> None:
    rng = random.Random(seed)
    bases = [Catalogue.of(release), Catalogue.of(cast(Any, OtherRelease(release)))]
    names = [f"i{n}" for n in range(N_ITEMS)] + [f"new-{n}" for n in range(12)] + ["x", "y"]
    catalogue = bases[0]
    held = set(rng.sample(names, 10))
    seen = SeenItems.of(held, catalogue)
    for version in range(60):
        if rng.random() < 0.3:  # more live items, fewer, or another release
            base = (
                rng.choice(bases)
                if rng.random() < 0.3
                else bases[catalogue.release is bases[1].release]
            )
            catalogue = base.with_live(live(rng.randrange(13)))
        if rng.random() < 0.2:
            seen = seen.within(catalogue)
        else:
            added = rng.choices(names, k=rng.randrange(4))
            before = seen.rows.tolist()
            grown = seen.plus(added, catalogue, version)
            assert seen.rows.tolist() == before
            seen, held = grown, held | set(added)
            assert seen.version == version
        assert seen.rows.tolist() == rows_of(held, catalogue)
        assert len(seen) == len(held)
        assert seen.rows.dtype == np.int32


def test_in_the_same_catalogue_nothing_is_looked_up_again(release: Release) -> None:
    catalogue = Catalogue.of(release)
    seen = SeenItems.of(["i1", "x"], catalogue)
    assert seen.within(catalogue) is seen
    assert seen.within(Catalogue.of(release)) is seen
    assert seen.plus(["i1", "x"], catalogue, 2).rows is seen.rows


def test_many_small_steps_are_gathered(release: Release) -> None:
    catalogue = Catalogue.of(release)
    seen = SeenItems.of(["i1"], catalogue)
    for number in range(_LATEST + 2):
        seen = seen.plus([f"x{number}"], catalogue, number)
    assert len(seen) == _LATEST + 3 and len(seen._latest) == 1


def test_unions_of_rows_are_sorted_and_without_repeats() -> None:
    rows = np.array([2, 5, 9], np.int32)
    assert union(rows, np.array([7, 5, 7, 1], np.int32)).tolist() == [1, 2, 5, 7, 9]
    assert union(rows, np.array([9, 2], np.int32)) is rows
    nothing = np.empty(0, np.int32)
    assert union(nothing, rows).tolist() == [2, 5, 9] and union(nothing, nothing).dtype == np.int32
    assert not_among(np.array([9, 10, 0], np.int32), rows).tolist() == [False, True, True]


def test_the_memory_of_users_is_bounded_in_users_and_in_items(release: Release) -> None:
    catalogue, features = Catalogue.of(release), UserFeatures(seen_item_ids=("i1",))
    users = KnownUsers(most=2, most_seen=5)
    users.put("a", features, SeenItems.of(["i1"], catalogue))
    users.put("b", features, SeenItems.of(["i1", "i2"], catalogue))
    users.put("a", features, SeenItems.of(["i1", "i3"], catalogue))
    users.put("c", features, SeenItems.of(["i1"], catalogue))
    assert users.get("b") is NOBODY
    assert users.get("a").seen.rows.tolist() == [1, 3]
    assert users.get("a").features.seen_item_ids == ()
    users.put("c", features, SeenItems.of(["i1", "i2", "i3", "i4"], catalogue))
    assert users.get("a") is NOBODY and len(users.get("c").seen) == 4
    users.forget({user_hash("c")})
    assert users.get("c") is NOBODY
    users.put("d", features, SeenItems.of([f"i{n}" for n in range(6)], catalogue))
    assert users.get("d") is NOBODY


class Features:
    """A features service whose user saw one item more with each version."""

    def __init__(self) -> None:
        self.version = 1
        self.asked: list[tuple[int, frozenset[int]]] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def user_features(self, *_: object, **wanted: Any) -> UserFeatures:
        version, since = self.version, wanted["seen_since_version"]
        self.asked.append((since, frozenset(wanted["seen_kinds"])))
        await self.answers.wait()
        ids = tuple(f"i{n}" for n in range(since, version))
        return UserFeatures(seen_item_ids=ids, version=version, seen_is_increment=since > 0)


async def test_only_what_was_seen_since_is_asked_for(query: MakeQuery) -> None:
    features = Features()
    hydrator = UserHydrator(cast(Any, features), remember=10)
    for version in (1, 2, 2, 5):
        features.version = version
        assert (await hydrator.hydrate(query())).seen_rows.tolist() == list(range(version))
    assert [since for since, _ in features.asked] == [0, 1, 2, 2]
    assert hydrator.without(query()).seen_rows.tolist() == list(range(5))
    hydrator.forget({user_hash("a")})
    await hydrator.hydrate(query())
    assert features.asked[-1] == (0, frozenset())


async def test_an_answer_is_added_to_what_was_known_when_it_was_asked_for(query: MakeQuery) -> None:
    features = Features()
    hydrator = UserHydrator(cast(Any, features), remember=10)
    await hydrator.hydrate(query())
    features.version = 3
    features.answers.clear()
    slow = asyncio.create_task(hydrator.hydrate(query()))
    await asyncio.sleep(0)
    hydrator.forget({user_hash("a")})
    features.answers.set()
    assert (await slow).seen_rows.tolist() == [0, 1, 2]


async def test_kinds_that_count_are_asked_for_and_hold_for_the_requests_own_events(
    query: MakeQuery,
) -> None:
    features = Features()
    hydrator = UserHydrator(cast(Any, features), remember=10)
    own = (
        RecentEvent("i7", EventKind.CLICK, 0.0, 1.0),
        RecentEvent("i8", EventKind.VIEW, 0.0, 2.0),
    )
    asked = query(recent_events=own, active=ActiveRules.of("seen: {kinds: [click]}"))
    assert hydrator.without(asked).seen_rows.tolist() == [7]
    assert (await hydrator.hydrate(asked)).seen_rows.tolist() == [0, 7]
    assert features.asked == [(0, frozenset({EventKind.CLICK}))]
