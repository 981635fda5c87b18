"""What each candidate source finds, over the exact index."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.events import EventKind
from models.history import Surroundings, WeightedRows
from models.scorer import TwoTowerScorer
from services.common.errors import Unavailable
from services.retrieval.query import NewItems, Query
from services.retrieval.server import candidate_sources
from services.retrieval.sources import (
    FriendsSource,
    ItemToItemSource,
    MfAnnSource,
    NewItemsSource,
    PopularSource,
    Source,
    TowerAnnSource,
    TrendingSource,
    neighbour_table,
)
from services.retrieval.vectors import ExactIndex, Found, Space, exact_search
from tests.unit.retrieval.world import FACTORS, World


@pytest.fixture
async def index(world: World) -> ExactIndex:
    index = ExactIndex()
    await index.prepare(world.loaded.release_id, world.loaded.tables)
    return index


@pytest.mark.parametrize("history", [[], [3], [3, 7, 7, 1]])
@pytest.mark.parametrize("excluded", [[], [0, 1, 2, 3], range(49)])
async def test_no_source_returns_excluded_or_repeated_items_or_too_many(
    world: World, index: ExactIndex, history: list[int], excluded: list[int]
) -> None:
    query = world.query(history, exclude=excluded, count=12)
    for source in candidate_sources(index):
        found = await source.fetch(query)
        rows = found.rows.tolist()
        assert len(rows) == len(set(rows)) == len(found.scores) <= 12, source.name
        assert not set(rows) & set(excluded), source.name
        assert (np.diff(found.scores) <= 0).all(), source.name


@pytest.mark.parametrize("make", [TowerAnnSource, MfAnnSource])
async def test_exclusions_do_not_cost_the_vector_sources_their_quota(
    world: World, index: ExactIndex, make: type[TowerAnnSource] | type[MfAnnSource]
) -> None:
    first = await make(index).fetch(world.query([3], count=10))
    rest = await make(index).fetch(world.query([3], count=10, exclude=first.rows.tolist()))
    assert len(rest) == 10
    both = await make(index).fetch(world.query([3], count=20))
    assert both.rows.tolist() == [*first.rows.tolist(), *rest.rows.tolist()]


async def test_tower_ann_finds_what_the_towers_score_highest(
    world: World, index: ExactIndex
) -> None:
    query = world.query([3, 7], count=5)
    vector = world.loaded.tower.user_vector(query.user)
    found = await TowerAnnSource(index).fetch(query)
    assert found.rows.tolist() == exact_search(world.release.item_vectors, vector, 5).rows.tolist()


class TestMfAnn:
    async def test_the_history_matters_more_the_newer_it_is(
        self, world: World, index: ExactIndex
    ) -> None:
        factors = world.release.item_factors
        source = MfAnnSource(index)
        towards_new = source.user_vector(world.query([5] * 1 + [9]))
        assert towards_new is not None
        towards_old = source.user_vector(world.query([9, *range(20, 45), 5]))
        assert towards_old is not None
        assert towards_new @ factors[9] > towards_old @ factors[9]

    async def test_without_history_the_trained_vector_is_used(
        self, world: World, index: ExactIndex
    ) -> None:
        vector = np.array([1, 0, -1, 2], dtype=np.float32)
        found = await MfAnnSource(index).fetch(world.query(factors=vector.tolist(), count=5))
        expected = exact_search(world.release.item_factors, vector, 5)
        assert found.rows.tolist() == expected.rows.tolist()

    async def test_a_new_user_without_history_gets_nothing(
        self, world: World, index: ExactIndex
    ) -> None:
        assert len(await MfAnnSource(index).fetch(world.query())) == 0

    async def test_disliked_items_are_no_taste(self, world: World, index: ExactIndex) -> None:
        source = MfAnnSource(index)
        query = world.query([3, 8], kinds=[EventKind.CLICK, EventKind.DISLIKE])
        np.testing.assert_array_equal(
            source.user_vector(query), source.user_vector(world.query([3]))
        )


NEIGHBOURS = ItemToItemSource("neighbours", neighbour_table, seeds=10, decay=0.8)


class TestItemToItem:
    async def test_the_last_item_counts_most(self, world: World) -> None:
        found = await NEIGHBOURS.fetch(world.query([20, 10]))
        assert found.rows.tolist() == [11, 21, 12, 22]
        np.testing.assert_allclose(found.scores, [0.5, 0.4, 0.25, 0.2])

    async def test_scores_of_a_shared_neighbour_add_up(self, world: World) -> None:
        found = await NEIGHBOURS.fetch(world.query([11, 10]))
        assert found.rows[0] == 12
        np.testing.assert_allclose(found.scores[0], 0.25 + 0.8 * 0.5)

    @pytest.mark.parametrize("kind", [EventKind.DISLIKE, EventKind.HIDE])
    async def test_disliked_items_are_no_seeds(self, world: World, kind: EventKind) -> None:
        found = await NEIGHBOURS.fetch(world.query([20, 10], kinds=[EventKind.CLICK, kind]))
        assert found.rows.tolist() == [21, 22]

    async def test_one_seed_is_the_last_item_alone(self, world: World) -> None:
        last_item = ItemToItemSource("last_item", neighbour_table, seeds=1, decay=1.0)
        found = await last_item.fetch(world.query([20, 10]))
        assert found.rows.tolist() == [11, 12]

    async def test_an_item_without_neighbours_finds_nothing(self, world: World) -> None:
        assert len(await NEIGHBOURS.fetch(world.query([49]))) == 0


async def test_popular_skips_excluded_items_and_still_fills_up(world: World) -> None:
    found = await PopularSource().fetch(world.query(count=3, exclude=[0, 2]))
    assert found.rows.tolist() == [1, 3, 4]


class Counting(ExactIndex):
    """Notes how many hits each search wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[int] = []

    async def search(
        self,
        release_id: str,
        space: Space,
        query: NDArray[np.float32],
        count: int,
        timeout: float,
    ) -> Found:
        self.wanted.append(count)
        return await super().search(release_id, space, query, count, timeout)


async def test_of_many_excluded_items_no_more_are_fetched_than_needed(world: World) -> None:
    counting = Counting()
    await counting.prepare(world.loaded.release_id, world.loaded.tables)
    source = TowerAnnSource(counting)
    order = (await source.fetch(world.query([3], count=50))).rows.tolist()
    counting.wanted.clear()
    far = await source.fetch(world.query([3], count=3, exclude=order[10:]))
    assert (far.rows.tolist(), counting.wanted) == (order[:3], [6])
    counting.wanted.clear()
    near = await source.fetch(world.query([3], count=3, exclude=order[:40]))
    assert (near.rows.tolist(), counting.wanted) == (order[40:43], [6, 24, 43])


@pytest.mark.parametrize("position", [0, 1])
async def test_vector_sources_fail_while_the_index_is_down(world: World, position: int) -> None:
    source: Source = candidate_sources(ExactIndex())[position]
    with pytest.raises(Unavailable):
        await source.fetch(world.query([3], factors=[1.0] * FACTORS))


def weighted(**of_row: float) -> WeightedRows:
    """Rows by name, such as `r3=0.5`."""
    rows = np.array([int(name[1:]) for name in of_row], np.int32)
    return WeightedRows(rows, np.array(list(of_row.values()), np.float32))


async def test_trending_joins_the_region_and_everywhere_by_the_larger_share(world: World) -> None:
    around = Surroundings(trend=weighted(r4=0.3, r9=0.2), trend_here=weighted(r9=0.4, r2=0.1))
    found = await TrendingSource().fetch(world.query([1], around=around))
    assert found.rows.tolist() == [9, 4, 2]
    np.testing.assert_allclose(found.scores, [0.4, 0.3, 0.1], rtol=1e-6)
    less = await TrendingSource().fetch(world.query([1], around=around, exclude=[9], count=1))
    assert less.rows.tolist() == [4]


async def test_friends_find_what_they_lately_liked_most_first(world: World) -> None:
    around = Surroundings(friends=weighted(r7=2.0, r5=0.5))
    found = await FriendsSource().fetch(world.query([1], around=around, exclude=[5]))
    assert (found.rows.tolist(), found.scores.tolist()) == ([7], [2.0])


async def test_without_friends_or_a_trend_their_sources_find_nothing(world: World) -> None:
    for source in (TrendingSource(), FriendsSource()):
        assert len(await source.fetch(world.query([1]))) == 0


def with_new(query: Query, shown: list[bool], excluded: list[int] | None = None) -> Query:
    """The query with as many new items, all drama, two of one year; rows from 50 on."""
    n = len(query.loaded)
    towers = query.loaded.tower
    assert isinstance(towers, TwoTowerScorer)
    years = np.array([1990, 2000, 2000, 2010][: len(shown)], np.int16)
    vectors = towers.new_item_vectors([("Drama",)] * len(shown), years)
    mask = np.concatenate([query.excluded, np.isin(np.arange(n, n + len(shown)), excluded or [])])
    new = NewItems(vectors, np.array(shown))
    return replace(query, new=new, excluded=mask, excluded_count=int(mask.sum()))


async def test_new_items_come_by_the_towers_inner_product(world: World) -> None:
    query = with_new(world.query([3, 7], count=3), [True] * 4)
    found = await NewItemsSource().fetch(query)
    vector = world.loaded.tower.user_vector(query.user)
    best = exact_search(query.new.vectors, vector, 4)
    np.testing.assert_allclose(found.scores, best.scores[:3])
    assert set(found.rows.tolist()) <= set(range(50, 54)) and len(found) == 3
    at = found.rows.tolist()
    assert 51 not in at or 52 not in at or at.index(52) < at.index(51)  # of equals, the newest


async def test_a_user_without_history_gets_the_newest_first(world: World) -> None:
    found = await NewItemsSource().fetch(with_new(world.query(), [True] * 4))
    assert found.rows.tolist() == [53, 52, 51, 50]


async def test_hidden_and_excluded_new_items_are_not_found(world: World) -> None:
    query = with_new(world.query([3]), [True, False, True, True], excluded=[53])
    assert set((await NewItemsSource().fetch(query)).rows.tolist()) == {50, 52}
    assert len(await NewItemsSource().fetch(world.query([3]))) == 0


async def test_other_sources_take_exclusions_of_new_items(world: World, index: ExactIndex) -> None:
    query = with_new(world.query([3], count=8), [True] * 4, excluded=[50, 51, 52, 53])
    for source in candidate_sources(index):
        assert (await source.fetch(query)).rows.max(initial=0) < 50
