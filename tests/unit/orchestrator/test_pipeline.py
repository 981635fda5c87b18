"""The pipeline's own promises, with components small enough to read at a glance."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.common.errors import Unavailable
from services.orchestrator.candidates import Candidates, Query, Rows
from services.orchestrator.filters import AlreadySeenFilter, ExcludedIdsFilter, UnavailableFilter
from services.orchestrator.pipeline import Found, Level, Pipeline, Scored, Slate
from services.orchestrator.rules_yaml import ActiveRules
from services.orchestrator.selectors import SlateComposer
from services.orchestrator.sources import PopularSource
from tests.unit.orchestrator.conftest import UNDIVERSIFIED

MakeQuery = Callable[..., Query]


@dataclass
class ListSource:
    """Finds the given rows, or fails."""

    rows: list[int]
    name: str = "list"
    fails: bool = False
    lost: str = ""
    level_when_lost: Level = Level.STORED

    async def fetch(self, query: Query) -> Found:
        if self.fails:
            raise Unavailable("down")
        rows = np.array(self.rows, np.int32)
        scores = -np.arange(len(rows), dtype=np.float32)
        return Found(Candidates.of_source(self.name, rows, scores), self.lost)


@dataclass
class SeenHydrator:
    seen: list[int] = field(default_factory=list)
    fails: bool = False
    level_when_lost: Level = Level.NO_SESSION

    async def hydrate(self, query: Query) -> Query:
        if self.fails:
            raise Unavailable("down")
        return replace(query, seen_rows=np.array(sorted(self.seen), np.int32))

    def without(self, query: Query) -> Query:
        return query


@dataclass
class RowScorer:
    """The higher the row, the better; NaN for the rows named."""

    nan_rows: frozenset[int] = frozenset()
    fails: bool = False
    level_when_lost: Level = Level.UNRANKED

    async def score(self, query: Query, candidates: Candidates) -> Scored:
        if self.fails:
            raise Unavailable("down")
        scores = candidates.rows.astype(np.float32)
        scores[np.isin(candidates.rows, list(self.nan_rows))] = np.nan
        return Scored(scores)


class ShortMaskFilter:
    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        return np.ones(len(candidates) - 1, np.bool_)


def pipeline(**changes: Any) -> Pipeline:
    standard: Mapping[str, Any] = {
        "query_hydrators": [SeenHydrator()],
        "sources": [ListSource(list(range(20)))],
        "fallbacks": [
            ListSource([30, 31], "stored", level_when_lost=Level.POPULAR),
            PopularSource(),
        ],
        "filters": [AlreadySeenFilter(), ExcludedIdsFilter(), UnavailableFilter()],
        "scorers": [RowScorer()],
        "selector": SlateComposer(),
        "max_candidates": 500,
    }
    return Pipeline(**{**standard, **changes})


def mmr_rules(weight: float) -> ActiveRules:
    return ActiveRules.of(f"diversity: {{method: mmr, weight: {weight:.6f}}}")


def ids(slate: Slate) -> list[int]:
    return [int(row) for row in slate.chosen.rows]


async def test_a_healthy_answer_is_full_and_ordered_by_score(query: MakeQuery) -> None:
    slate = await pipeline().run(query(count=3))
    assert slate.record.level is Level.FULL
    assert ids(slate) == [19, 18, 17]
    assert set(slate.record.stage_millis) == {"hydrate", "retrieve", "filter", "rank", "select"}


async def test_seen_excluded_and_unavailable_items_never_appear(query: MakeQuery) -> None:
    slate = await pipeline(query_hydrators=[SeenHydrator([19, 17])]).run(
        query(count=20, excluded_rows=np.array([18], np.int32))
    )
    assert not {19, 17, 18, 5} & set(ids(slate))


async def test_nan_scores_rank_below_all_others(query: MakeQuery) -> None:
    slate = await pipeline(scorers=[RowScorer(frozenset({19, 18}))]).run(query(count=19))
    assert ids(slate)[:2] == [17, 16]
    assert set(ids(slate)[-2:]) == {19, 18}


async def test_without_ranking_the_retrieval_order_stays(query: MakeQuery) -> None:
    slate = await pipeline(scorers=[RowScorer(fails=True)]).run(query(count=3))
    assert slate.record.level is Level.UNRANKED
    assert ids(slate) == [0, 1, 2]


async def test_without_features_the_level_says_no_session(query: MakeQuery) -> None:
    slate = await pipeline(query_hydrators=[SeenHydrator(fails=True)]).run(query(count=3))
    assert slate.record.level is Level.NO_SESSION
    assert len(ids(slate)) == 3


async def test_without_retrieval_the_stored_list_comes_before_popular_items(
    query: MakeQuery,
) -> None:
    slate = await pipeline(
        sources=[ListSource([], fails=True)], scorers=[RowScorer(fails=True)]
    ).run(query(count=4))
    assert slate.record.level is Level.STORED
    assert ids(slate) == [30, 31, 0, 1]
    assert slate.chosen.sources_of(0) == ["stored", "popular"]


async def test_without_retrieval_or_a_stored_list_the_level_says_popular(query: MakeQuery) -> None:
    nothing = ListSource([], "stored", level_when_lost=Level.POPULAR)
    slate = await pipeline(
        sources=[ListSource([], fails=True)], fallbacks=[nothing, PopularSource()]
    ).run(query(count=4))
    assert slate.record.level is Level.POPULAR
    assert len(ids(slate)) == 4


async def test_a_source_without_its_main_part_is_topped_up_from_the_stored_list(
    query: MakeQuery,
) -> None:
    slate = await pipeline(sources=[ListSource([1, 2, 3], lost="index down")]).run(query(count=3))
    assert slate.record.level is Level.STORED
    assert ids(slate) == [31, 30, 3]


async def test_a_short_slate_is_filled_up_and_stays_full(query: MakeQuery) -> None:
    slate = await pipeline(sources=[ListSource([1, 2])]).run(query(count=8))
    assert slate.record.level is Level.FULL
    assert len(set(ids(slate))) == 8


async def test_a_filter_that_miscounts_is_a_bug_and_raises(query: MakeQuery) -> None:
    with pytest.raises(ValueError, match="ShortMaskFilter"):
        await pipeline(filters=[ShortMaskFilter()]).run(query())


async def test_a_bug_in_a_source_is_not_taken_for_an_outage(query: MakeQuery) -> None:
    class Buggy(ListSource):
        async def fetch(self, query: Query) -> Found:
            raise KeyError("bug")

    with pytest.raises(KeyError):
        await pipeline(sources=[Buggy([])]).run(query())


def test_diversity_breaks_up_a_run_of_similar_items(query: MakeQuery) -> None:
    even_first: Rows = np.array([0, 2, 4, 6, 1, 3, 5], np.int32)
    candidates = Candidates.of_source("s", even_first, np.arange(7, 0, -1).astype(np.float32))
    plain, diverse = (
        even_first[SlateComposer().select(query(count=4, active=each), candidates, ()).positions]
        for each in (UNDIVERSIFIED, mmr_rules(0.7))
    )
    assert plain.tolist() == [0, 2, 4, 6]
    assert diverse[0] == 0
    assert {row % 2 for row in diverse[:2].tolist()} == {0, 1}


_rows = st.lists(st.integers(0, 39), unique=True, max_size=40)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    found=_rows,
    seen=_rows,
    excluded=_rows,
    count=st.integers(1, 50),
    weight=st.floats(0, 1),
    down=st.sets(st.sampled_from(["features", "retrieval", "ranking"])),
)
def test_slates_are_distinct_eligible_and_never_shorter_than_they_must_be(
    query: MakeQuery,
    found: list[int],
    seen: list[int],
    excluded: list[int],
    count: int,
    weight: float,
    down: set[str],
) -> None:
    asked = query(
        count=count,
        excluded_rows=np.array(sorted(excluded), np.int32),
        active=mmr_rules(weight),
    )
    slate = asyncio.run(
        pipeline(
            query_hydrators=[SeenHydrator(seen, fails="features" in down)],
            sources=[ListSource(found, fails="retrieval" in down)],
            scorers=[RowScorer(fails="ranking" in down)],
        ).run(asked)
    )
    known_seen = set() if "features" in down else set(seen)
    eligible = set(range(40)) - {5} - set(excluded) - known_seen
    chosen = ids(slate)
    assert len(chosen) == len(set(chosen)) == min(count, len(eligible))
    assert set(chosen) <= eligible
    assert all(slate.chosen.sources_of(at) for at in range(len(chosen)))
    assert (slate.record.level is Level.FULL) == (not down)
