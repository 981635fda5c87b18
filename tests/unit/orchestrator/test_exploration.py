"""New items get a bounded chance, said truly, and the same one for the same request."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.release import Release
from services.common.live_items import LiveItem
from services.orchestrator.candidates import PROMOTED, PROPENSITY, Candidates, Query
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.exploration import NewItemExplorer, draw_chances
from services.orchestrator.filters import AlreadySeenFilter, ExcludedIdsFilter, UnavailableFilter
from services.orchestrator.pipeline import Level, Pipeline, Scored, Slate
from tests.unit.orchestrator.conftest import N_ITEMS
from tests.unit.orchestrator.test_pipeline import ListSource, SeenHydrator, pipeline

MakeQuery = Callable[..., Query]
RATE = 0.5
NOW = 1e9
NEW = [N_ITEMS + n for n in range(4)]


class OldFirst:
    """Scores that put old items above all new ones; of those, the first is the best by far."""

    level_when_lost = Level.UNRANKED

    async def score(self, query: Query, candidates: Candidates) -> Scored:
        rows = candidates.rows
        new = np.where(rows == NEW[0], 3.0, 0.0)
        return Scored(np.where(rows < N_ITEMS, 100.0 - rows, new).astype(np.float32))


def live(number: int, days: float = 1.0, **changes: Any) -> LiveItem:
    made = NOW - days * 86_400
    known = {"item_id": f"new-{number}", "seq": number, "created_at": made}
    return LiveItem(**{**known, **changes})


@pytest.fixture
def catalogue(release: Release) -> Catalogue:
    """Four new items: three of yesterday, one of ten days ago."""
    return Catalogue.of(release).with_live((live(0), live(1), live(2), live(3, days=10)))


def explored(rate: float = RATE, **changes: Any) -> Pipeline:
    parts = {"sources": [ListSource([*range(20), *NEW])], "scorers": [OldFirst()], **changes}
    return pipeline(explorer=NewItemExplorer(rate, days=7), **parts)


async def slates(query: MakeQuery, catalogue: Catalogue, count: int, **changes: Any) -> list[Slate]:
    made = explored(**changes)
    return [
        await made.run(query(count=10, request_id=f"r{n}", catalogue=catalogue))
        for n in range(count)
    ]


def places(slate: Slate) -> list[tuple[int, int]]:
    """Place and row of each new item in a slate."""
    return [(at, row) for at, row in enumerate(slate.chosen.rows.tolist()) if row >= N_ITEMS]


async def test_new_items_come_as_often_as_their_propensities_say(
    query: MakeQuery, catalogue: Catalogue
) -> None:
    found: Counter[tuple[int, int]] = Counter()
    said: dict[tuple[int, int], float] = {}
    asked = 4_000
    for slate in await slates(query, catalogue, asked):
        for at, row in places(slate):
            found[at, row] += 1
            said[at, row] = float(slate.chosen.columns[PROPENSITY][at])
            assert "exploration" in slate.chosen.sources_of(at)
            assert "list" in slate.chosen.sources_of(at)
    assert {at for at, _ in found} == {5, 6, 7, 8, 9}
    assert {row for _, row in found} == set(NEW[:3])  # the fourth is not new any more
    assert sum(said.values()) == pytest.approx(RATE)
    for key, chance in said.items():
        deviation = (chance * (1 - chance) * asked) ** 0.5
        assert abs(found[key] - chance * asked) < 4.5 * deviation, key
    assert said[5, NEW[0]] > 5 * said[5, NEW[1]] > 0


async def test_all_but_the_explored_place_is_as_without(
    query: MakeQuery, catalogue: Catalogue
) -> None:
    [plain] = await slates(query, catalogue, 1, rate=0.0)
    for slate in await slates(query, catalogue, 50, rate=1.0):
        [(at, _)] = places(slate)
        rest = np.arange(10) != at
        assert slate.chosen.rows[rest].tolist() == plain.chosen.rows[rest].tolist()
        expected = np.array([1.0] * 5 + [0.8] * 5)
        np.testing.assert_allclose(slate.chosen.columns[PROPENSITY][rest], expected[rest])
    assert PROPENSITY not in plain.chosen.columns


async def test_what_diversity_puts_in_an_open_place_is_as_often_there_as_it_says(
    query: MakeQuery, catalogue: Catalogue
) -> None:
    [plain] = await slates(query, catalogue, 1, rate=0.0)
    asked, stayed = 2_000, np.zeros(10)
    for slate in await slates(query, catalogue, asked):
        same = slate.chosen.rows == plain.chosen.rows
        stayed += same
        said = slate.chosen.columns[PROPENSITY]
        np.testing.assert_allclose(said[:5], 1)
        np.testing.assert_allclose(said[5:][same[5:]], 1 - RATE / 5)
    assert (stayed[:5] == asked).all()
    np.testing.assert_allclose(stayed[5:] / asked, 1 - RATE / 5, atol=0.03)


async def test_an_item_that_the_release_holds_without_events_is_still_new(
    query: MakeQuery, release: Release
) -> None:
    unheard = int(np.argmin(release.item_vectors[:, -1]))
    heard = (unheard + 1) % N_ITEMS
    items = (live(0, item_id=f"i{unheard}"), live(1, item_id=f"i{heard}"), live(2))
    late = (live(0, days=10, item_id=f"i{unheard}"), items[1], items[2])
    rest = [row for row in range(20) if row not in (unheard, heard)]
    shown = []
    for each in (items, late):
        catalogue = Catalogue.of(release).with_live(each)
        sources = [ListSource([*rest, unheard, heard, NEW[2]])]
        found = await slates(query, catalogue, 200, rate=1.0, sources=sources, scorers=[])
        shown.append({int(slate.chosen.rows[at]) for slate in found for at in explored_at(slate)})
    assert shown == [{unheard, NEW[2]}, {NEW[2]}]


def explored_at(slate: Slate) -> list[int]:
    return [at for at in range(10) if "exploration" in slate.chosen.sources_of(at)]


async def test_the_same_request_again_has_the_same_slate(
    query: MakeQuery, catalogue: Catalogue
) -> None:
    first, again = [await slates(query, catalogue, 60) for _ in range(2)]
    assert [s.chosen.rows.tolist() for s in first] == [s.chosen.rows.tolist() for s in again]
    assert len({tuple(places(slate)) for slate in first}) > 3


async def test_items_that_a_filter_dropped_are_never_explored(
    query: MakeQuery, release: Release
) -> None:
    items = (live(0), live(1), live(2, available=False), live(3))
    catalogue = Catalogue.of(release).with_live(items)
    made = explored(
        rate=1.0,
        query_hydrators=[SeenHydrator([NEW[0]])],
        filters=[AlreadySeenFilter(), ExcludedIdsFilter(), UnavailableFilter()],
    )
    shown = set()
    for n in range(100):
        asked = query(
            count=10,
            request_id=f"r{n}",
            catalogue=catalogue,
            excluded_rows=np.array([NEW[1]], np.int32),
        )
        shown |= {row for _, row in places(await made.run(asked))}
    assert shown == {NEW[3]}


@pytest.mark.parametrize(
    ("count", "open_"), [(3, []), (4, [3]), (5, [3, 4]), (6, [3, 4, 5]), (10, [5, 6, 7, 8, 9])]
)
async def test_the_first_places_and_short_slates_are_left_alone(
    query: MakeQuery, catalogue: Catalogue, count: int, open_: list[int]
) -> None:
    made = explored(rate=1.0)
    found = set()
    for n in range(60):
        slate = await made.run(query(count=count, request_id=f"r{n}", catalogue=catalogue))
        found |= {at for at, _ in places(slate)}
    assert sorted(found) == open_


async def test_without_new_items_nothing_changes(query: MakeQuery) -> None:
    old = [ListSource(list(range(20)))]
    made = [pipeline(sources=old, explorer=explorer) for explorer in (NewItemExplorer(1, 7), None)]
    explored_, plain = [(await each.run(query(count=10))).chosen for each in made]
    assert explored_.rows.tolist() == plain.rows.tolist()
    assert PROPENSITY not in explored_.columns


def test_chances_sum_to_one_and_leave_none_out_whatever_the_scores() -> None:
    for scores in ([5.0, -300.0], [np.nan, 1.0, 2.0], [np.nan, np.nan], [1e30, -1e30], [0.0]):
        chances = draw_chances(np.array(scores, np.float32))
        assert chances.sum() == pytest.approx(1)
        assert (chances >= 0.1 / len(scores) - 1e-12).all()


def test_choosing_costs_little(query: MakeQuery, catalogue: Catalogue) -> None:
    ranked = Candidates.of_source("s", np.arange(N_ITEMS + 4, dtype=np.int32), np.ones(44, "f4"))
    slate = ranked.take(np.arange(10)).with_columns({PROMOTED: np.zeros(10, bool)})
    explorer, asked = NewItemExplorer(1.0, 7), query(count=10, catalogue=catalogue)
    started = time.perf_counter()
    for _ in range(200):
        assert explorer.explore(asked, ranked, slate) is not None
    assert (time.perf_counter() - started) / 200 < 2e-3
