"""Served slates once more: explained, made again, or made by other rules."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.release import Release, ReleaseError
from services.common.deadlines import Budget
from services.common.errors import FailedPrecondition, InvalidArgument, NotFound
from services.common.live_items import LiveItem
from services.common.slates import ServedSlate, SlateLog
from services.orchestrator.budgets import Unlimited
from services.orchestrator.candidates import (
    BOOST,
    EXPLORATION,
    LABEL,
    PREDICTION,
    PROMOTED,
    PROPENSITY,
    Candidates,
    Query,
)
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.pipeline import (
    Explorer,
    Filter,
    Found,
    Level,
    Pipeline,
    Placed,
    Scored,
    Scorer,
    Selector,
    Slate,
    Source,
)
from services.orchestrator.promotions import PROMOTION, PromotionSource, SlotPromoter
from services.orchestrator.rules_archive import RulesArchive
from services.orchestrator.rules_yaml import ActiveRules
from services.orchestrator.slate_detail import Served, decode_served, translated

MOST_TRIED = 10_000
_TRIED = 1_000
_MOST_KNOWN = 4
_NEVER = 3_600.0


@dataclass(frozen=True)
class Logged:
    """A slate of the log, and what it was made from.

    Attributes:
        row: the slate.
        served: its request.
        catalogue: the items there were.
        active: the rules that held.
    """

    row: ServedSlate
    served: Served
    catalogue: Catalogue
    active: ActiveRules

    @property
    def query(self) -> Query:
        """As it was after hydration."""
        query = self.served.query(self.catalogue, self.active, Budget.of(_NEVER))
        return replace(query, request_id=self.row.request_id)

    @property
    def slate(self) -> Slate:
        """As it was answered."""
        known, rows = self.served.ranked, self.served.message.slate_rows
        at = {row: position for position, row in enumerate(known.rows.tolist())}
        chosen = known.take(np.array([at[row] for row in rows], np.int64))
        promoted = {each.row: each.label for each in self.served.placed}
        chosen = chosen.with_columns(
            {
                PROPENSITY: np.array([item.propensity for item in self.row.items]),
                PROMOTED: np.array([row in promoted for row in rows], np.bool_),
                LABEL: np.array([promoted.get(row, "") for row in rows], object),
                PREDICTION: np.array([item.score for item in self.row.items], np.float32),
            }
        )
        for position, item in enumerate(self.row.items):
            if EXPLORATION in item.sources:
                chosen = chosen.also_found_by(EXPLORATION, position)
        return Slate(self.query, chosen, self.served.record(Level[self.row.level]))


@dataclass(frozen=True)
class Change:
    """What other rules would make of a slate: item ids by what becomes of them."""

    row: ServedSlate
    entering: tuple[str, ...]
    leaving: tuple[str, ...]
    moved: int

    @property
    def any(self) -> bool:
        return bool(self.entering or self.leaving or self.moved)


@dataclass(frozen=True)
class Tried:
    """Rules on logged requests: what would change in each, newest first, and what was skipped."""

    changes: list[Change]
    skipped: int


@dataclass(frozen=True)
class Parts:
    """What replays share with the pipeline that serves.

    Attributes:
        source: finds candidates; asked where a release is to be another one.
        fallbacks, filters, scorers, selector, explorer, max_candidates: see `Pipeline`.
        scorers_of_rules: of the scorers, those that need no other service.
    """

    source: Source
    fallbacks: Sequence[Source]
    filters: Sequence[Filter]
    scorers: Sequence[Scorer]
    scorers_of_rules: Sequence[Scorer]
    selector: Selector
    explorer: Explorer
    max_candidates: int


async def _nothing() -> None:
    pass


class SlateReplayer:
    """Reads the slate log, and runs the pipeline on what it says.

    Args:
        slates: the log.
        archive: the rules that were in use.
        parts: of the pipeline.
        catalogue: what serves now.
        load: reads a release of an id; raises `ReleaseError`.
        prepare: has the other services load a release.
        flush: writes to the log what waits for that here.
    """

    def __init__(
        self,
        slates: SlateLog,
        archive: RulesArchive,
        parts: Parts,
        catalogue: Callable[[], Catalogue],
        load: Callable[[str], Release],
        prepare: Callable[[str], Awaitable[None]],
        flush: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._slates = slates
        self._archive = archive
        self._parts = parts
        self._catalogue = catalogue
        self._load = load
        self._prepare = prepare
        self._flush = flush
        # By release and number of live items: these, as of when it was made, and the catalogue.
        self._known: dict[tuple[str, int], tuple[tuple[LiveItem, ...], Catalogue]] = {}

    async def read(self, request_id: str) -> Logged:
        """A logged slate.

        Raises:
            NotFound: it is not in the log, or no longer with all that it was made from.
            FailedPrecondition: the release that it was made by is gone.
        """
        await asyncio.shield(self._flush())  # an answer can be explained at once
        row = await asyncio.to_thread(self._slates.read, request_id)
        if row is None:
            raise NotFound(f"request {request_id} is not in the slate log")
        if row.detail is None:
            raise NotFound(f"of request {request_id} only the slate is still logged")
        return await self._logged(row)

    async def replay(
        self, request_id: str, release_id: str, rules: str | None
    ) -> tuple[Logged, Slate]:
        """A logged slate, and what comes out when it is made again.

        The user is as the log says, and so are the candidates, unless the release is another one;
        scores are computed now. Promotions are as they were; by other rules, as if budgets were
        untouched.

        Args:
            release_id: of the release to use; empty for the one that was used.
            rules: YAML; None for the rules that held.

        Raises:
            NotFound: see `read`; or no such release.
            FailedPrecondition: a release is gone.
            InvalidArgument: the rules are not valid.
        """
        logged = await self.read(request_id)
        active = logged.active if rules is None else ActiveRules.of(rules)
        query, served = replace(logged.query, active=active), logged.served
        other = bool(release_id) and release_id != logged.row.release_id
        if other:
            catalogue = await self._catalogue_of(release_id, len(logged.catalogue.live))
            await self._prepare(release_id)
            served = await asyncio.to_thread(translated, served, logged.catalogue, catalogue)
            query = replace(
                served.query(catalogue, active, Budget.of(_NEVER)), request_id=request_id
            )
        parts, repeats = self._parts, rules is None and not other
        pipeline = Pipeline(
            query_hydrators=[],
            sources=[parts.source, PromotionSource()] if other else _sources(logged, repeats),
            fallbacks=parts.fallbacks,
            filters=parts.filters,
            scorers=parts.scorers,
            selector=parts.selector,
            max_candidates=parts.max_candidates,
            promoter=_AsPlaced(served) if repeats else SlotPromoter(Unlimited()),
            explorer=parts.explorer,
        )
        return logged, await pipeline.run(query)

    async def try_rules(self, rules: str, requests: int) -> Tried:
        """What other rules would change in the last logged slates, by their logged scores.

        Raises:
            InvalidArgument: the rules are not valid, or too many requests are asked for.
        """
        if requests > MOST_TRIED:
            raise InvalidArgument("requests", f"is {requests}, at most {MOST_TRIED}")
        active = ActiveRules.of(rules)
        await asyncio.shield(self._flush())
        rows = await asyncio.to_thread(self._slates.last, requests or _TRIED)
        changes, skipped = list[Change](), 0
        for row in rows:
            try:
                logged = await self._logged(row)
            except (FailedPrecondition, NotFound):
                skipped += 1
                continue
            before = await self._by_logged_scores(logged, logged.active, _AsPlaced(logged.served))
            after = await self._by_logged_scores(logged, active, SlotPromoter(Unlimited()))
            changes.append(_change(row, before, after))
            await asyncio.sleep(0)  # requests go first
        return Tried(changes, skipped)

    async def _by_logged_scores(
        self, logged: Logged, active: ActiveRules, promoter: "_AsPlaced | SlotPromoter"
    ) -> Slate:
        parts = self._parts
        pipeline = Pipeline(
            query_hydrators=[],
            sources=_sources(logged, repeats=False),
            fallbacks=parts.fallbacks,
            filters=parts.filters,
            scorers=[_LoggedScorer(logged), *parts.scorers_of_rules],
            selector=parts.selector,
            max_candidates=parts.max_candidates,
            promoter=promoter,
        )
        return await pipeline.run(replace(logged.query, active=active))

    async def _logged(self, row: ServedSlate) -> Logged:
        assert row.detail is not None
        served = decode_served(row.detail)
        text = await asyncio.to_thread(self._archive.get, served.message.rules_digest)
        if text is None:
            raise FailedPrecondition("the rules that held are not known any more")
        catalogue = await self._catalogue_of(row.release_id, served.message.live_items)
        return Logged(row, served, catalogue, ActiveRules.of(text))

    async def _catalogue_of(self, release_id: str, live_items: int) -> Catalogue:
        """A release with the first of the live items laid over."""
        now, wanted = self._catalogue(), (release_id, live_items)
        if now.release.release_id == release_id and len(now.live) == live_items:
            return now
        live = now.live
        known = self._known.get(wanted)
        if known is not None and known[0] is live:
            return known[1]
        if now.release.release_id != release_id:
            try:
                now = Catalogue.of(await asyncio.to_thread(self._load, release_id))
            except ReleaseError as error:
                raise FailedPrecondition(str(error)) from None
        made = await asyncio.to_thread(now.with_live, live[:live_items])
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[wanted] = live, made
        return made


class _LoggedSource:
    """What was found then; lost, when a source was then, so that fallbacks are asked again."""

    level_when_lost = Level.STORED

    def __init__(self, candidates: Candidates, level: Level) -> None:
        self._candidates = candidates
        self._lost = "as it was then" if level >= Level.STORED else ""

    async def fetch(self, query: Query) -> Found:
        return Found(self._candidates, self._lost)


def _sources(logged: Logged, repeats: bool) -> list[Source]:
    """The candidates that sources found, with promotions as they were, or as rules have them."""
    found, level = logged.served.found[0], Level[logged.row.level]
    if repeats:
        return [_LoggedSource(found, level)]
    found = found.take(~found.only_found_by(PROMOTION))
    return [_LoggedSource(found, level), PromotionSource()]


class _AsPlaced:
    """Gives the places away that were given away then."""

    source = PROMOTION

    def __init__(self, served: Served) -> None:
        self._placed = served.placed

    def place(self, query: Query, ranked: Candidates) -> Sequence[Placed]:
        at = {row: position for position, row in enumerate(ranked.rows.tolist())}
        return [
            Placed(each.place, at[each.row], each.label) for each in self._placed if each.row in at
        ]


class _LoggedScorer:
    """Scores as they were before boosts; what was not ranked then, stays as it was found."""

    level_when_lost = Level.UNRANKED

    def __init__(self, logged: Logged) -> None:
        ranked = logged.served.ranked
        scores = ranked.scores - ranked.columns.get(BOOST, np.float32(0))
        self._scores = dict(zip(ranked.rows.tolist(), scores.tolist(), strict=True))

    async def score(self, query: Query, candidates: Candidates) -> Scored:
        known = self._scores
        lowest = min(known.values(), default=0.0)
        scores = [
            known.get(row, lowest - 1 - at) for at, row in enumerate(candidates.rows.tolist())
        ]
        return Scored(np.array(scores, np.float32))


def _change(row: ServedSlate, before: Slate, after: Slate) -> Change:
    old, new = _ids(before), _ids(after)
    was, now = set(old), set(new)
    stay = zip((i for i in old if i in now), (i for i in new if i in was), strict=True)
    return Change(
        row,
        entering=tuple(item for item in new if item not in was),
        leaving=tuple(item for item in old if item not in now),
        moved=sum(one != other for one, other in stay),
    )


def _ids(slate: Slate) -> list[str]:
    return [str(item) for item in slate.query.catalogue.items.ids[slate.chosen.rows]]
