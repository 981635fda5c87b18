"""What the slate costs: from 1,000 scored candidates to 50, by all rules at once.

    python -m bench.postprocessing [--repeats N] [--json]

Runs the orchestrator's own pipeline with a source and a scorer that answer from memory, on a random
catalogue: filters, boosts, promotions, composing by a determinantal process with calibration, caps
and spread, exploration. One thread: set OMP_NUM_THREADS=1.
"""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.percentiles import percentiles
from models.history import UserHistory, WeightedRows
from models.release import ITEM_VECTORS, ITEMS, POPULAR_ROWS, Release, ReleaseWriter
from services.common.deadlines import Budget
from services.common.live_items import LiveItem
from services.orchestrator.budgets import Unlimited
from services.orchestrator.candidates import Candidates, Query
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.exploration import NewItemExplorer
from services.orchestrator.pipeline import Found, Level, Pipeline, Scored
from services.orchestrator.promotions import PromotionSource, SlotPromoter
from services.orchestrator.rules_yaml import NO_RULES, ActiveRules
from services.orchestrator.scorers import BoostScorer
from services.orchestrator.selectors import SlateComposer
from services.orchestrator.server import standard_filters
from services.orchestrator.sources import PopularSource
from tandem_cli.output import print_json, print_table

_ITEMS = 20_000
_CANDIDATES = 1_000
_COUNT = 50
_SEEN = 500
_HISTORY = 80
_DIMENSIONS = 64
_WARM_UP = 20
_NOW = 1.7e9

_RULES = """\
block: {genres: [genre-19], items: ["i5", "i6"], creators: [creator-3], adult: true}
policies:
  - audience: {younger_than: 12}
    block: {genres: [genre-18]}
windows: [{items: ["i9"], ends: 2020-01-01T00:00:00Z}]
frequency: {times: 3, days: 7}
boost: [{by: 0.5, genres: [genre-1]}, {by: -0.5, creators: [creator-1]}]
promote:
  - {item_id: i10, slot: 2, label: Sponsored}
  - {item_id: i11, slots: {first: 5, last: 20}}
caps: {genre: 15, creator: 2}
diversity: {method: dpp, weight: 0.1, calibration: 0.2, spread: [{of: genre, most: 3, within: 5}]}
"""


class _Memory:
    """Finds the same candidates, with the same scores, every time."""

    level_when_lost = Level.STORED

    def __init__(self, rows: NDArray[np.int32], scores: NDArray[np.float32]) -> None:
        self._found = Found(Candidates.of_source("memory", rows, scores))
        self._scores = np.zeros(_ITEMS + 1, np.float32)
        self._scores[rows] = scores

    async def fetch(self, query: Query) -> Found:
        return self._found

    async def score(self, query: Query, candidates: Candidates) -> Scored:
        return Scored(self._scores[candidates.rows])


def measure(repeats: int) -> dict[str, Any]:
    """Times the slate with all rules, with none, and a plain sort of the same candidates."""
    with tempfile.TemporaryDirectory() as folder:
        query = _query(_release(Path(folder)))
        rng = np.random.default_rng(1)
        rows = rng.choice(_ITEMS, _CANDIDATES, replace=False).astype(np.int32)
        memory = _Memory(rows, rng.normal(size=_CANDIDATES).astype(np.float32))
        scores = memory._scores[rows]
        pipeline = Pipeline(
            query_hydrators=[],
            sources=[memory, PromotionSource()],
            fallbacks=[PopularSource()],
            filters=standard_filters(),
            scorers=[memory, BoostScorer()],
            selector=SlateComposer(),
            max_candidates=_CANDIDATES,
            promoter=SlotPromoter(Unlimited()),
            explorer=NewItemExplorer(0.1, 7.0),
        )
        ruled = asyncio.run(_timed(pipeline, query, repeats))
        plain = asyncio.run(_timed(pipeline, replace(query, active=NO_RULES), repeats))
    sorted_ = [_millis(lambda: np.argsort(-scores, kind="stable")[:_COUNT]) for _ in range(repeats)]
    return {
        "candidates": _CANDIDATES,
        "count": _COUNT,
        "all_rules": ruled,
        "no_rules": plain,
        "sort": percentiles(sorted_),
    }


async def _timed(pipeline: Pipeline, query: Query, repeats: int) -> dict[str, float]:
    """Of post-processing, by the pipeline's own account: all stages but retrieval from memory."""
    taken = list[float]()
    for number in range(_WARM_UP + repeats):
        slate = await pipeline.run(replace(query, request_id=f"r{number}"))
        millis = slate.record.stage_millis
        taken.append(sum(millis[stage] for stage in ("filter", "rank", "select")))
        if len(slate.chosen) != _COUNT:
            raise RuntimeError(f"a slate of {len(slate.chosen)}")
    return percentiles(taken[_WARM_UP:])


def _millis(work: Any) -> float:
    began = perf_counter()
    work()
    return (perf_counter() - began) * 1e3


def _query(release: Release) -> Query:
    rng = np.random.default_rng(2)
    live = LiveItem("new", seq=0, created_at=_NOW - 3_600, genres=("genre-1",))
    history = rng.choice(_ITEMS, _HISTORY, replace=False).astype(np.int32)
    shown = np.sort(rng.choice(_ITEMS, 200, replace=False)).astype(np.int32)
    return Query(
        request_id="",
        user_id="u",
        count=_COUNT,
        time=_NOW,
        catalogue=Catalogue.of(release).with_live((live,)),
        budget=Budget.of(60.0),
        age=30,
        user=UserHistory(
            history,
            np.full(_HISTORY, 4, np.int8),
            np.arange(_HISTORY, dtype=np.float32)[::-1] * 60,
            np.zeros(_HISTORY, np.float32),
            _NOW,
        ),
        seen_rows=np.sort(rng.choice(_ITEMS, _SEEN, replace=False)).astype(np.int32),
        shown=WeightedRows(shown, rng.integers(1, 5, len(shown)).astype(np.float32)),
        active=ActiveRules.of(_RULES),
    )


def _release(root: Path) -> Release:
    """20,000 items, each of some of 20 genres and by one of 2,000 creators."""
    rng = np.random.default_rng(0)
    genres = rng.random((_ITEMS, 20)) < 2.5 / 20
    with ReleaseWriter(root) as writer:
        table: dict[str, Any] = {
            "item_id": [f"i{row}" for row in range(_ITEMS)],
            "title": "",
            "genres": [[f"genre-{g}" for g in np.flatnonzero(each)] for each in genres],
            "creators": [[f"creator-{c}"] for c in rng.integers(0, 2_000, _ITEMS)],
            "year": np.full(_ITEMS, 2000, np.int16),
            "adult": rng.random(_ITEMS) < 0.02,
            "available": rng.random(_ITEMS) < 0.98,
        }
        writer.table(ITEMS, pd.DataFrame(table))
        vectors = rng.normal(size=(_ITEMS, _DIMENSIONS)).astype(np.float32)
        writer.array(ITEM_VECTORS, vectors)
        writer.array(POPULAR_ROWS, rng.permutation(_ITEMS).astype(np.int32))
        return writer.commit(
            cut_off=0,
            n_items=_ITEMS,
            n_users=0,
            n_events=0,
            feature_schema="",
            config={},
            metrics={},
        )


@click.command()
@click.option("--repeats", type=click.IntRange(1, 100_000), default=500, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def main(repeats: int, as_json: bool) -> None:
    """Times making a slate of 50 from 1,000 candidates by all rules."""
    found = measure(repeats)
    if as_json:
        return print_json(found)
    print_table(
        ["1,000 candidates to 50", "p50 ms", "p99 ms"],
        [
            [name, *(round(each, 4) for each in found[name].values())]
            for name in ("all_rules", "no_rules", "sort")
        ],
        "post-processing",
    )


if __name__ == "__main__":
    main()
