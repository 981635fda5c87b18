"""What holds of every slate, whatever the candidates, the rules, and the parts that are down."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from models.history import WeightedRows
from models.release import ITEM_VECTORS, ITEMS, POPULAR_ROWS, ReleaseWriter
from services.common.deadlines import Budget
from services.orchestrator import rules as r
from services.orchestrator.candidates import PROMOTED, Query
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.encoding import encode_trace
from services.orchestrator.pipeline import Level, Pipeline, Slate
from services.orchestrator.promotions import PromotionSource, SlotPromoter
from services.orchestrator.rules import Promotion, Rules
from services.orchestrator.rules_yaml import ActiveRules
from services.orchestrator.scorers import BoostScorer
from services.orchestrator.selectors import SlateComposer
from services.orchestrator.server import standard_filters
from services.orchestrator.sources import PopularSource
from tests.unit.orchestrator.test_pipeline import ListSource, RowScorer, SeenHydrator

N = 48
GENRES = ("a", "b", "c", "d")
CREATORS = ("x", "y", "z")
NOW = 1e9
QUICK = [Phase.explicit, Phase.reuse, Phase.generate]
"""Without shrinking: whole slates take minutes to shrink."""


@dataclass
class CountingBudgets:
    """Spends budgets in memory."""

    spent: Counter[str]

    def take(self, promotion: Promotion) -> bool:
        if promotion.budget is not None and self.spent[promotion.key] >= promotion.budget:
            return False
        self.spent[promotion.key] += 1
        return True


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """48 items of any mix of four genres and three creators; some adult, some not available."""
    rng = np.random.default_rng(0)
    with ReleaseWriter(tmp_path_factory.mktemp("releases")) as writer:
        table: dict[str, Any] = {
            "item_id": [f"i{row}" for row in range(N)],
            "title": "",
            "genres": [[g for g in GENRES if rng.random() < 0.35] for _ in range(N)],
            "creators": [[c for c in CREATORS if rng.random() < 0.35] for _ in range(N)],
            "year": np.full(N, 2000, np.int16),
            "adult": rng.random(N) < 0.2,
            "available": rng.random(N) < 0.9,
            "available_from": np.where(rng.random(N) < 0.1, NOW + 1, 0.0),
            "available_until": np.where(rng.random(N) < 0.1, NOW, np.inf),
        }
        writer.table(ITEMS, pd.DataFrame(table))
        writer.array(ITEM_VECTORS, rng.normal(size=(N, 6)).astype(np.float32))
        writer.array(POPULAR_ROWS, rng.permutation(N).astype(np.int32))
        return Catalogue.of(
            writer.commit(
                cut_off=0,
                n_items=N,
                n_users=0,
                n_events=0,
                feature_schema="",
                config={},
                metrics={},
            )
        )


def few(*names: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(names), max_size=2, unique=True).map(tuple)


ITEM_IDS = [f"i{row}" for row in range(N)]
ROWS = st.lists(st.integers(0, N - 1), max_size=N, unique=True)
BLOCKS = st.builds(
    r.Block,
    genres=few(*GENRES, "unknown"),
    items=few(*ITEM_IDS, "unknown"),
    creators=few(*CREATORS),
    adult=st.booleans(),
)
PROMOTIONS = st.lists(
    st.builds(
        Promotion,
        item_id=st.sampled_from([*ITEM_IDS, "unknown"]),
        slot=st.integers(1, 12),
        budget=st.none() | st.integers(0, 2),
        label=st.sampled_from(["", "Sponsored"]),
    ),
    max_size=4,
    unique_by=lambda promotion: promotion.key,
).map(tuple)
RULES = st.builds(
    Rules,
    block=BLOCKS | st.just(r.Block()),
    policies=st.lists(
        st.builds(
            r.Policy,
            audience=st.builds(r.Audience, younger_than=st.integers(1, 30)),
            block=BLOCKS,
        ),
        max_size=1,
    ).map(tuple),
    frequency=st.none() | st.builds(r.Frequency, times=st.integers(1, 3)),
    boost=st.lists(st.builds(r.Boost, by=st.floats(-2, 2), genres=st.just(("a",))), max_size=1).map(
        tuple
    ),
    promote=PROMOTIONS,
    caps=st.dictionaries(st.sampled_from(["genre", "creator", *GENRES]), st.integers(0, 6)),
    diversity=st.builds(
        r.Diversity,
        method=st.sampled_from(["none", "mmr", "dpp"]),
        weight=st.floats(0, 1),
        calibration=st.sampled_from([0.0, 0.5]),
        spread=st.lists(
            st.builds(
                r.Spread,
                of=st.sampled_from(["genre", "creator"]),
                most=st.just(1),
                within=st.integers(2, 4),
            ),
            max_size=1,
        ).map(tuple),
    ),
)


@dataclass
class Asked:
    """A request, and the parts that answer it."""

    query: Query
    found: list[int]
    seen: list[int]
    down: set[str]
    budgets: CountingBudgets

    def run(self) -> Slate:
        pipeline = Pipeline(
            query_hydrators=[SeenHydrator(self.seen, fails="features" in self.down)],
            sources=[ListSource(self.found, fails="retrieval" in self.down), PromotionSource()],
            fallbacks=[PopularSource()],
            filters=standard_filters(),
            scorers=[RowScorer(fails="ranking" in self.down), BoostScorer()],
            selector=SlateComposer(),
            max_candidates=20,
            promoter=SlotPromoter(self.budgets),
        )
        return asyncio.run(pipeline.run(self.query))

    @property
    def rules(self) -> Rules:
        return self.query.rules

    def eligible(self) -> set[int]:
        """What may be shown, by plain reading of the rules."""
        items, query = self.query.catalogue.items, self.query
        seen = set() if "features" in self.down else set(self.seen)
        blocks = [self.rules.block]
        blocks += [
            policy.block
            for policy in self.rules.policies
            if not query.age or query.age < (policy.audience.younger_than or 0)
        ]
        worn = set[int]()
        if self.rules.frequency is not None:
            times = dict(zip(query.shown.rows.tolist(), query.shown.weights.tolist(), strict=True))
            worn = {row for row, n in times.items() if n >= self.rules.frequency.times}
        return {
            row
            for row in range(N)
            if items.available[row]
            and items.available_from[row] <= NOW < items.available_until[row]
            and row not in seen | set(query.excluded_rows.tolist()) | worn
            and not any(
                items.ids[row] in block.items
                or set(items.genres[row]) & set(block.genres)
                or set(items.creators[row]) & set(block.creators)
                or (block.adult and items.adult[row])
                for block in blocks
            )
        }

    def cap(self, kind: str, name: str) -> float:
        caps = self.rules.caps
        own = caps.get(name) if kind == "genre" else None
        return own if own is not None else caps.get(kind, float("inf"))

    def groups(self, row: int) -> list[tuple[str, str]]:
        items = self.query.catalogue.items
        return [("genre", g) for g in items.genres[row]] + [
            ("creator", c) for c in items.creators[row]
        ]


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    shown = sorted(draw(ROWS))
    times = draw(st.lists(st.integers(1, 4), min_size=len(shown), max_size=len(shown)))
    query = Query(
        request_id="r",
        user_id="u",
        count=draw(st.integers(1, 25)),
        time=NOW,
        catalogue=None,  # type: ignore[arg-type]
        budget=Budget.of(5),
        excluded_rows=np.array(sorted(draw(ROWS.filter(lambda rows: len(rows) < 9))), np.int32),
        active=ActiveRules(draw(RULES), "", ""),
        age=draw(st.sampled_from([0, 10, 40])),
        shown=WeightedRows(np.array(shown, np.int32), np.array(times, np.float32)),
    )
    down = draw(st.sets(st.sampled_from(["features", "retrieval", "ranking"])))
    seen = draw(ROWS.filter(lambda rows: len(rows) < 12))
    return Asked(query, draw(ROWS), seen, down, CountingBudgets(Counter()))


@settings(max_examples=300, deadline=None, phases=QUICK)
@given(asked=requests())
def test_what_holds_of_every_slate(catalogue: Catalogue, asked: Asked) -> None:
    asked.query = replace(asked.query, catalogue=catalogue)
    slate = asked.run()
    rows, promoted = slate.chosen.rows.tolist(), slate.chosen.columns[PROMOTED].tolist()
    eligible = asked.eligible()

    assert set(rows) <= eligible
    assert len(rows) == len(set(rows)) <= asked.query.count
    assert all(slate.chosen.sources_of(at) for at in range(len(rows)))
    assert (slate.record.level is Level.FULL) == (not asked.down)

    held = Counter(group for row in rows for group in asked.groups(row))
    for_ads = Counter(
        g for row, ad in zip(rows, promoted, strict=True) if ad for g in asked.groups(row)
    )
    for (kind, name), times in held.items():
        assert times <= max(asked.cap(kind, name), for_ads[kind, name])

    if len(rows) < asked.query.count:  # all that is left would exceed a cap
        for row in eligible - set(rows):
            assert any(held[g] >= asked.cap(*g) for g in asked.groups(row))

    _promotions_have_their_places(asked, slate, eligible)
    _the_trace_accounts_for_every_candidate(slate)


def _promotions_have_their_places(asked: Asked, slate: Slate, eligible: set[int]) -> None:
    rows, labels = slate.chosen.rows.tolist(), slate.chosen.columns["label"].tolist()
    shown = slate.chosen.columns[PROMOTED].tolist()
    for promotion in asked.rules.promote:
        spent = asked.budgets.spent[promotion.key]
        assert spent <= (1 if promotion.budget is None else min(promotion.budget, 1))
        row = int(promotion.item_id[1:]) if promotion.item_id in ITEM_IDS else -1
        assert promotion.slot is not None
        if not spent:
            continue
        assert row in eligible
        at = rows.index(row)
        assert shown[at]
        assert labels[at] == promotion.label
        assert at == promotion.slot - 1 or all(shown[at:])  # last, in a slate too short for it
    first = {p.slot: p for p in reversed(asked.rules.promote)}
    for slot, promotion in first.items():
        # One that no other competes with, and that may be shown and paid for, is shown.
        alone = sum(p.item_id == promotion.item_id for p in asked.rules.promote) == 1
        row = int(promotion.item_id[1:]) if promotion.item_id in ITEM_IDS else -1
        if alone and row in eligible and promotion.budget != 0 and (slot or 0) <= len(rows):
            assert rows[(slot or 0) - 1] == row or sum(shown) > 1


def _the_trace_accounts_for_every_candidate(slate: Slate) -> None:
    trace = encode_trace(slate.query, slate.record, slate.chosen)
    found = {row for part in slate.record.found for row in part.rows.tolist()}
    ids = slate.query.catalogue.items.ids
    assert {c.item_id for c in trace.candidates} == {ids[row] for row in found}
    assert len(trace.candidates) == len(found)
    for candidate in trace.candidates:
        fates = [candidate.place > 0, bool(candidate.dropped_by)]
        assert sum(fates) <= 1
        assert any(fates) or candidate.rank > 0
        assert candidate.source_ranks
    places = [c.place for c in trace.candidates if c.place]
    assert places == list(range(1, len(slate.chosen) + 1))


@settings(max_examples=100, deadline=None, phases=QUICK)
@given(asked=requests())
def test_where_nothing_constrains_the_order_follows_the_score(
    catalogue: Catalogue, asked: Asked
) -> None:
    rules = Rules(block=asked.rules.block, diversity=r.Diversity(method="none"))
    active = ActiveRules(rules, "", "")
    asked.query = replace(asked.query, catalogue=catalogue, active=active)
    scores = asked.run().chosen.scores
    assert (np.diff(scores) <= 0).all()


@settings(max_examples=60, deadline=None, phases=QUICK)
@given(asked=requests(), times=st.integers(1, 6))
def test_no_budget_is_exceeded_however_often_a_slate_is_made(
    catalogue: Catalogue, asked: Asked, times: int
) -> None:
    asked.query = replace(asked.query, catalogue=catalogue)
    shown = Counter[str]()
    for _ in range(times):
        slate = asked.run()
        ads = slate.chosen.columns[PROMOTED]
        shown.update(catalogue.items.ids[slate.chosen.rows[ads]].tolist())
    for item_id, often in shown.items():
        budgets = [p.budget for p in asked.rules.promote if p.item_id == item_id]
        assert None in budgets or often <= sum(b or 0 for b in budgets)


def test_a_release_is_written_for_these_tests(catalogue: Catalogue, tmp_path: Path) -> None:
    """The world has what the rules speak of."""
    assert set(catalogue.genres.names) == set(GENRES)
    assert catalogue.items.adult.any()
    assert not catalogue.items.available.all()
