"""The recommender as a funnel: hydrate -> retrieve -> filter -> rank -> select.

Each stage is a list of components; what a component returns is all it can change. A source or
scorer that fails takes the answer down a level, never the request. A filter that fails is a bug,
and fails the request: what it keeps out is not shown.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.common.errors import DomainError, FailedPrecondition
from services.orchestrator.candidates import (
    EXPLORATION,
    LABEL,
    PREDICTION,
    PROMOTED,
    PROPENSITY,
    Candidates,
    Query,
    Rows,
    Scores,
    merge,
)

STAGES = ("hydrate", "retrieve", "filter", "rank", "select")

_T = TypeVar("_T")

log = logging.getLogger(__name__)


class Level(IntEnum):
    """How much of the system took part; larger is more degraded."""

    FULL = 1
    NO_SESSION = 2
    UNRANKED = 3
    STORED = 4
    POPULAR = 5


@dataclass(frozen=True)
class Found:
    """What a source found, and the part of itself it had to do without, if any."""

    candidates: Candidates
    lost: str = ""


class QueryHydrator(Protocol):
    level_when_lost: Level

    async def hydrate(self, query: Query) -> Query: ...

    def without(self, query: Query) -> Query:
        """The query when `hydrate` failed."""


class Source(Protocol):
    level_when_lost: Level

    async def fetch(self, query: Query) -> Found: ...


class Filter(Protocol):
    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]: ...


@dataclass(frozen=True)
class Scored:
    """New scores of all candidates, (n,) float32, and what more the scorer knows, (n,) by name."""

    scores: Scores
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Scorer(Protocol):
    level_when_lost: Level

    async def score(self, query: Query, candidates: Candidates) -> Scored: ...


@dataclass(frozen=True)
class Placed:
    """A ranked candidate for one place of the slate, in the stead of the one there.

    Attributes:
        place: in the slate, from 0.
        position: of the candidate, among the ranked ones.
        label: shown with the item, if any.
    """

    place: int
    position: int
    label: str = ""


class Promoter(Protocol):
    source: str
    """Name of the source of items that are there only to be promoted."""

    def place(self, query: Query, ranked: Candidates) -> Sequence[Placed]:
        """Places that are given away before the slate is composed. Called once a request."""


@dataclass(frozen=True)
class Selected:
    """A slate.

    Attributes:
        positions: of the candidates to show, in order.
        passed_over: positions of candidates that a rule kept out, by the rule's name.
    """

    positions: Rows
    passed_over: Mapping[str, Rows] = field(default_factory=dict)


class Selector(Protocol):
    def select(self, query: Query, ranked: Candidates, placed: Sequence[Placed]) -> Selected:
        """Chooses and orders at most `query.count`, with what is placed in its places.

        May be called again with more candidates behind the same ones.
        """


@dataclass(frozen=True)
class Explored:
    """What exploration makes of a slate.

    Attributes:
        propensities: (n,) float64 probabilities, given the request, that what is served in each
            place is put there.
        placed: the candidate that this slate is explored with; mostly none.
    """

    propensities: NDArray[np.float64]
    placed: Placed | None = None


class Explorer(Protocol):
    def explore(self, query: Query, ranked: Candidates, slate: Candidates) -> Explored | None:
        """What becomes of a slate; None where nothing can be explored, and all is certain."""


@dataclass(frozen=True)
class StageRecord:
    stage: str
    component: str
    rows_in: int
    rows_out: int
    millis: float
    error: str = ""


@dataclass(frozen=True)
class Dropped:
    """Item rows that a component or rule kept out."""

    by: str
    rows: Rows


@dataclass
class Record:
    """What happened to one request.

    Attributes:
        unheld: whether a service said that it does not hold the release.
        found: what the sources found, merged; then what each fallback did that was asked.
        dropped: what was kept out, in order; every row that was found is in it, or in `ranked`.
        ranked: what was chosen from, best first.
        placed: what of that had its place beforehand.
    """

    level: Level = Level.FULL
    unheld: bool = False
    stage_millis: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    components: list[StageRecord] = field(default_factory=list)
    found: list[Candidates] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    ranked: Candidates = field(default_factory=Candidates.none)
    placed: Sequence[Placed] = ()

    def lost(self, component: object, level: Level, error: DomainError | str) -> None:
        self.level = max(self.level, level)
        self.unheld |= isinstance(error, FailedPrecondition)
        log.warning("degraded", extra={"component": _name(component), "error": str(error)})

    def leave_out(self, rows: Rows) -> None:
        """Forgets candidates that the last fallback knew, and that nobody asked for."""
        if len(rows):
            self.found[-1] = self.found[-1].take(~np.isin(self.found[-1].rows, rows))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.stage_millis[name] += (time.perf_counter() - started) * 1e3


@dataclass(frozen=True)
class Slate:
    """The chosen candidates, best first, and how they came about."""

    query: Query
    chosen: Candidates
    record: Record


@dataclass(frozen=True)
class Pipeline:
    """One list a stage, in the order the stages run.

    Attributes:
        query_hydrators: fill in the user, in parallel with nothing before them.
        sources: propose candidates, in parallel.
        fallbacks: asked in order, and only while candidates are short or a source was lost.
        filters: drop candidates, in sequence.
        scorers: replace scores, in sequence.
        selector: chooses and orders.
        max_candidates: most candidates that fallbacks fill up to, before the slate is composed.
        promoter: gives places away beforehand; None for none.
        explorer: may put one more candidate in one place of the slate; None for none.
    """

    query_hydrators: Sequence[QueryHydrator]
    sources: Sequence[Source]
    fallbacks: Sequence[Source]
    filters: Sequence[Filter]
    scorers: Sequence[Scorer]
    selector: Selector
    max_candidates: int
    promoter: Promoter | None = None
    explorer: Explorer | None = None

    async def run(self, query: Query) -> Slate:
        record, fallbacks = Record(), _Fallbacks(iter(self.fallbacks))
        with record.stage("hydrate"):
            query = await self._hydrate_query(query, record)
        with record.stage("retrieve"):
            candidates = await self._retrieve(query, record)
        with record.stage("filter"):
            candidates = self._filter(query, candidates, record)
        with record.stage("retrieve"):
            candidates = await self._top_up(query, candidates, fallbacks, record)
        with record.stage("rank"):
            candidates = await self._rank(query, candidates, record)
        with record.stage("select"):
            ranked, placed = self._place(query, candidates, record)
            slate = self._select(query, ranked, placed, record)
        while len(slate.positions) < query.count:  # rules of the slate kept out too many
            with record.stage("retrieve"):
                more = await self._next(query, fallbacks, record)
            if more is None:
                break
            with record.stage("select"):
                more = _below(ranked, more)
                ranked = merge([ranked, more])
                slate = self._select(query, ranked, placed, record)
        with record.stage("select"):
            chosen = self._finish(query, ranked, slate, placed, record)
            record.leave_out(fallbacks.spare.rows)
        return Slate(query, chosen, record)

    async def _hydrate_query(self, query: Query, record: Record) -> Query:
        for hydrator in self.query_hydrators:
            try:
                query = await _timed(record, "hydrate", hydrator, hydrator.hydrate(query))
            except DomainError as error:
                record.lost(hydrator, hydrator.level_when_lost, error)
                query = hydrator.without(query)
        return query

    async def _retrieve(self, query: Query, record: Record) -> Candidates:
        found = merge(
            await asyncio.gather(*(self._fetch(source, query, record) for source in self.sources))
        )
        record.found.append(found)
        return found

    async def _fetch(self, source: Source, query: Query, record: Record) -> Candidates:
        try:
            found = await _timed(record, "retrieve", source, source.fetch(query))
        except DomainError as error:
            record.lost(source, source.level_when_lost, error)
            return Candidates.none()
        if found.lost:
            record.lost(source, source.level_when_lost, found.lost)
        return found.candidates

    def _filter(self, query: Query, candidates: Candidates, record: Record) -> Candidates:
        for component in self.filters:
            started = time.perf_counter()
            keep = component.keep(query, candidates)
            if keep.shape != (len(candidates),):
                raise ValueError(f"{_name(component)}: mask {keep.shape} of {len(candidates)}")
            kept = candidates if keep.all() else candidates.take(keep)
            if len(kept) < len(candidates):
                record.dropped.append(Dropped(_name(component), candidates.rows[~keep]))
            _note(record, "filter", component, len(candidates), len(kept), started)
            candidates = kept
        return candidates

    async def _top_up(
        self, query: Query, candidates: Candidates, fallbacks: "_Fallbacks", record: Record
    ) -> Candidates:
        """Adds fallback candidates, below all others, where sources found too few or were lost."""
        lost = record.level >= Level.STORED
        while len(candidates) < query.count or lost:
            more = await self._next(query, fallbacks, record)
            if more is None:
                break
            if lost and not len(more):
                record.level = max(record.level, fallbacks.level_when_lost)
            lost = lost and not len(more)
            # Popular items are all there are. No more than are ranked come along; others wait.
            most = max(self.max_candidates - len(candidates), query.count)
            fallbacks.spare = more.take(np.arange(most, max(most, len(more))))
            now = more.take(np.arange(min(most, len(more))))
            candidates = merge([candidates, _below(candidates, now)])
        return candidates

    async def _next(
        self, query: Query, fallbacks: "_Fallbacks", record: Record
    ) -> Candidates | None:
        """What was spared of a fallback, else what the next one knows that may be shown; None when
        there is no more."""
        if len(fallbacks.spare):
            spare, fallbacks.spare = fallbacks.spare, Candidates.none()
            return spare
        fallback = next(fallbacks.waiting, None)
        if fallback is None:
            return None
        fallbacks.level_when_lost = fallback.level_when_lost
        found = await self._fetch(fallback, query, record)
        record.found.append(found)
        return self._filter(query, found, record)

    async def _rank(self, query: Query, candidates: Candidates, record: Record) -> Candidates:
        if not len(candidates):
            return candidates
        for scorer in self.scorers:
            try:
                scored = await _timed(record, "rank", scorer, scorer.score(query, candidates))
            except DomainError as error:
                record.lost(scorer, scorer.level_when_lost, error)
                continue
            if scored.scores.shape != (len(candidates),):
                raise ValueError(
                    f"{_name(scorer)}: {scored.scores.shape} scores of {len(candidates)}"
                )
            candidates = candidates.with_scores(scored.scores).with_columns(scored.columns)
        sinking = np.where(np.isnan(candidates.scores), -np.inf, candidates.scores)
        return candidates.with_scores(sinking).take(np.argsort(-sinking, kind="stable"))

    def _place(
        self, query: Query, ranked: Candidates, record: Record
    ) -> tuple[Candidates, Sequence[Placed]]:
        """What is promoted, and candidates without those that were there only for that, in vain."""
        if self.promoter is None:
            return ranked, ()
        started = time.perf_counter()
        placed = self.promoter.place(query, ranked)
        in_vain = ranked.only_found_by(self.promoter.source)
        in_vain[[each.position for each in placed]] = False
        kept = ranked
        if in_vain.any():
            record.dropped.append(Dropped(_name(self.promoter), ranked.rows[in_vain]))
            kept, before = ranked.take(~in_vain), np.cumsum(in_vain)
            placed = [
                replace(each, position=each.position - int(before[each.position]))
                for each in placed
            ]
        _note(record, "select", self.promoter, len(ranked), len(placed), started)
        return kept, placed

    def _select(
        self, query: Query, ranked: Candidates, placed: Sequence[Placed], record: Record
    ) -> Selected:
        started = time.perf_counter()
        selected = self.selector.select(query, ranked, placed)
        _note(record, "select", self.selector, len(ranked), len(selected.positions), started)
        return selected

    def _finish(
        self,
        query: Query,
        ranked: Candidates,
        selected: Selected,
        placed: Sequence[Placed],
        record: Record,
    ) -> Candidates:
        """The chosen candidates, with labels, and what exploration makes of them."""
        record.ranked, record.placed = ranked, placed
        for rule, positions in selected.passed_over.items():
            record.dropped.append(Dropped(rule, ranked.rows[positions]))
        slate = ranked.take(selected.positions)
        labels = {each.position: each for each in placed}
        shown = [labels.get(at) for at in selected.positions.tolist()]
        slate = slate.with_columns(
            {
                PROMOTED: np.array([each is not None for each in shown], np.bool_),
                LABEL: np.array([each.label if each else "" for each in shown], object),
            }
        )
        if self.explorer is None:
            return slate
        started = time.perf_counter()
        explored = self.explorer.explore(query, ranked, slate)
        if explored is not None:
            slate = _with(explored, slate, ranked)
        _note(record, "select", self.explorer, len(ranked), len(slate), started)
        return slate


@dataclass
class _Fallbacks:
    """Fallbacks that were not asked yet, and what the last one knew that was not needed yet."""

    waiting: Iterator[Source]
    spare: Candidates = field(default_factory=Candidates.none)
    level_when_lost: Level = Level.FULL


def _below(candidates: Candidates, more: Candidates) -> Candidates:
    """More candidates, scored below others, in their order; what a scorer knows of those, it does
    not of these: nothing is added to their scores, and none predicts more than the least."""
    lowest = float(candidates.scores.min()) if len(candidates) else 0.0
    scores = (lowest - 1 - np.arange(len(more))).astype(np.float32)
    unknown = {
        name: np.full(
            len(more), column.min() if name == PREDICTION and len(column) else 0, column.dtype
        )
        for name, column in candidates.columns.items()
    }
    return more.with_scores(scores).with_columns(unknown)


def _with(explored: Explored, slate: Candidates, ranked: Candidates) -> Candidates:
    """The slate with a candidate in its place, if there is one, and propensities."""
    placed = explored.placed
    if placed is not None:
        unlabelled = {
            PROMOTED: np.zeros(len(ranked), np.bool_),
            LABEL: np.full(len(ranked), "", object),
        }
        slate = slate.replaced(placed.place, ranked.with_columns(unlabelled), placed.position)
        slate = slate.also_found_by(EXPLORATION, placed.place)
    return slate.with_columns({PROPENSITY: explored.propensities})


async def _timed(record: Record, stage: str, component: object, work: Awaitable[_T]) -> _T:
    """Awaits a component and records its time, and its failure."""
    started = time.perf_counter()
    try:
        result = await work
    except DomainError as error:
        _note(record, stage, component, 0, 0, started, str(error))
        raise
    count = 0
    if isinstance(result, Found):
        count = len(result.candidates)
    elif isinstance(result, Scored):
        count = len(result.scores)
    lost = result.lost if isinstance(result, Found) else ""
    _note(record, stage, component, 0, count, started, lost)
    return result


def _note(
    record: Record,
    stage: str,
    component: object,
    rows_in: int,
    rows_out: int,
    started: float,
    error: str = "",
) -> None:
    millis = (time.perf_counter() - started) * 1e3
    record.components.append(StageRecord(stage, _name(component), rows_in, rows_out, millis, error))


def _name(component: object) -> str:
    return type(component).__name__
