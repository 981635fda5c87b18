"""A release with live items laid over it, and requests pinned to one moment of both."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from bench.random_release import write_random_release
from models.events import EventKind
from models.new_items import NewItemVectors
from models.release import Release
from models.scorer import TwoTowerScorer
from services.common.database import open_database
from services.common.live_items import LiveItem, LiveItemTable
from services.common.live_view import LiveItems
from services.common.releases import ReleaseRegistry
from services.orchestrator.candidates import Candidates, Query
from services.orchestrator.catalogue import Catalogue, load_tower
from services.orchestrator.clients import UserFeatures
from services.orchestrator.hydrators import with_user
from services.orchestrator.pipeline import Level
from services.orchestrator.release_switch import ReleaseSwitch
from services.orchestrator.seen import SeenItems
from services.orchestrator.selectors import SlateComposer
from tests.unit.orchestrator.conftest import N_ITEMS
from tests.unit.orchestrator.test_pipeline import ListSource, ids, mmr_rules, pipeline

MakeQuery = Callable[..., Query]

LIVE = (
    LiveItem("new-0", "New", ("even",), 2026, available_from=8.0, seq=0, created_at=5.0),
    LiveItem(
        "i3",
        "Renamed",
        ("odd", "late"),
        1950,
        adult=True,
        available=False,
        creators=("Ann",),
        available_until=9.0,
        seq=1,
    ),
    LiveItem("new-2", available=False, seq=2),
)
N = N_ITEMS


def test_without_live_items_a_catalogue_is_the_releases_own_arrays(release: Release) -> None:
    catalogue = Catalogue.of(release)
    assert catalogue.items is release.items
    assert catalogue.with_live(()).items is release.items
    assert not catalogue.needs_tower
    rows = np.array([3, 1], np.int32)
    np.testing.assert_array_equal(catalogue.vectors(rows), release.item_vectors[rows])


def test_new_items_have_rows_after_the_releases_and_held_ones_keep_theirs(
    release: Release,
) -> None:
    catalogue = Catalogue.of(release).with_live(LIVE)
    items = catalogue.items
    assert items.rows(["i3", "new-0", "nobody", "new-2"]).tolist() == [3, N, N + 2]
    assert (items.titles[N], items.genres[N], items.years[N]) == ("New", ("even",), 2026)
    assert (items.titles[3], items.genres[3], items.years[3]) == ("Renamed", ("odd", "late"), 1950)
    assert items.adult[3] and not items.adult[2]
    assert items.available[[2, 3, N, N + 1, N + 2]].tolist() == [True, False, True, False, False]
    assert [items.creators[row] for row in (2, 3, N)] == [(), ("Ann",), ()]
    assert items.available_from[[2, 3, N, N + 2]].tolist() == [0.0, 0.0, 8.0, 0.0]
    assert items.available_until[[2, 3, N, N + 2]].tolist() == [np.inf, 9.0, np.inf, np.inf]
    assert catalogue.first_seen[0] == 5.0
    assert len(items) == N + 3 and catalogue.n_items == N
    # the release itself, which other requests are pinned to, is as it was
    assert release.items.titles[3] == "Item 3" and release.items.available[3]
    assert release.items.genres[3] == ("odd",) and len(release.items) == N
    assert release.items.creators[3] == () and release.items.available_until[3] == np.inf


def test_only_new_items_and_those_without_events_were_born_lately(release: Release) -> None:
    unheard = int(np.argmin(release.item_vectors[:, -1]))
    held = LiveItem(f"i{unheard}", seq=1, created_at=7.0)
    catalogue = Catalogue.of(release).with_live((LIVE[0], held, replace(held, item_id="i9", seq=2)))
    rows = np.array([0, unheard, 9, N, 38], np.int32)
    never = -np.inf
    assert unheard not in (0, 9, 38)
    assert catalogue.born(rows).tolist() == [never, 7.0, never, 5.0, never]
    assert Catalogue.of(release).born(rows[:3]).tolist() == [never] * 3


def test_vectors_of_new_items_are_those_of_the_item_tower(tmp_path: Path) -> None:
    release = write_random_release(tmp_path, 30, dimensions=16, seed=2)
    live = tuple(LiveItem(f"n{n}", genres=("drama",), year=1990, seq=n) for n in range(3))
    catalogue = Catalogue.of(release).with_live(live)
    assert catalogue.needs_tower and not catalogue.vectors(np.array([31], np.int32)).any()
    catalogue = catalogue.with_tower(load_tower(release))
    rows = np.array([32, 4], np.int32)
    expected = NewItemVectors(TwoTowerScorer(release)).of(live)
    np.testing.assert_array_equal(catalogue.vectors(rows)[0], expected[2])
    np.testing.assert_array_equal(catalogue.vectors(rows)[1], release.item_vectors[4])
    more = catalogue.with_live((*live, replace(live[0], seq=3)))
    assert not more.needs_tower
    np.testing.assert_array_equal(more.new_vectors[3], expected[0])


def test_histories_hold_the_releases_rows_only_and_seen_rows_all(
    query: MakeQuery, release: Release
) -> None:
    asked = query(catalogue=Catalogue.of(release).with_live(LIVE))
    names = ("i1", "new-0", "i2")
    known = UserFeatures(names, (3, 3, 3), (1.0, 2.0, 3.0), (0.0, 0.0, 0.0))
    hydrated = with_user(asked, known, SeenItems.of(names, asked.catalogue))
    assert hydrated.user is not None and hydrated.user.rows.tolist() == [1, 2]
    assert hydrated.seen_rows.tolist() == [1, 2, N]
    assert hydrated.user.kinds.tolist() == [EventKind.CLICK] * 2


async def test_withdrawn_items_never_appear_and_new_ones_do(
    query: MakeQuery, release: Release
) -> None:
    catalogue = Catalogue.of(release).with_live(LIVE)
    source = ListSource([3, 4, N, N + 1, N + 2])
    slate = await pipeline(sources=[source]).run(query(count=2, catalogue=catalogue))
    assert slate.record.level is Level.FULL
    assert ids(slate) == [N, 4]


def test_diversity_takes_new_items(query: MakeQuery, release: Release) -> None:
    asked = query(count=3, catalogue=Catalogue.of(release).with_live(LIVE))
    rows = np.array([N, 1, 2, 3], np.int32)
    candidates = Candidates.of_source("s", rows, np.array([4, 3, 2, 1], np.float32))
    chosen = SlateComposer().select(replace(asked, active=mmr_rules(0.5)), candidates, ())
    assert len(chosen.positions) == 3


async def test_the_switch_lays_changes_over_the_release_and_keeps_up_with_it(
    tmp_path: Path,
) -> None:
    release = write_random_release(tmp_path / "releases", 30, dimensions=16, seed=2)
    engine = open_database(f"sqlite:///{tmp_path / 'tandem.db'}")
    registry, table = ReleaseRegistry(engine), LiveItemTable(engine)
    registry.add(release.release_id, {}, activate_at_start=True)
    live = LiveItems(table)
    switch = ReleaseSwitch(registry, release.path.parent, [], 1.0, 60.0, live)
    await switch.start()
    try:
        assert switch.catalogue().items is switch.current().items
        table.upsert([LiveItem("fresh", genres=("drama",)), LiveItem("item-7", available=False)])
        live.refresh()
        await until(lambda: bool(switch.catalogue().live) and not switch.catalogue().needs_tower)
        catalogue = switch.catalogue()
        assert catalogue.items.row_of["fresh"] == 30 and not catalogue.items.available[7]
        assert catalogue.new_vectors.any()
        table.upsert([LiveItem("item-7")])
        live.refresh()
        await switch.lay_over()
        assert switch.catalogue().items.available[7] and not catalogue.items.available[7]
        await switch.lay_over()
    finally:
        await switch.close()
        engine.dispose()


class ChangingItems:
    """Live items that change while they are laid over a release."""

    def __init__(self, *moments: tuple[LiveItem, ...]) -> None:
        self.moments = list(moments)

    def current(self) -> tuple[LiveItem, ...]:
        return self.moments.pop(0) if len(self.moments) > 1 else self.moments[0]


async def test_laying_over_goes_on_until_it_has_the_current_items(
    release: Release, tmp_path: Path
) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'tandem.db'}")
    registry = ReleaseRegistry(engine)
    registry.add(release.release_id, {}, activate_at_start=True)
    changing = ChangingItems(())
    live = cast(LiveItems, changing)
    switch = ReleaseSwitch(registry, release.path.parent, [], 1.0, 60.0, live)
    try:
        await switch.activate(release.release_id)
        changing.moments = [LIVE[:1], LIVE[:1], LIVE[:2], LIVE]
        await switch.lay_over()
        assert switch.catalogue().live is LIVE
    finally:
        engine.dispose()


async def until(check: Callable[[], bool]) -> None:
    """Waits for what the switch does by itself; it may have to import torch."""
    for _ in range(3_000):
        if check():
            return
        await asyncio.sleep(0.02)
