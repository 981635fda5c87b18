"""What each part of the final score and each candidate source is worth: by itself, and to the rest.

Sources are those of the retrieval service, over an exact index and what training found in memory.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evidence import evidence_parts
from models.final_score import DEFAULT_WEIGHTS, FinalScorer
from models.history import HISTORY_LENGTH, UserHistory
from models.matrix_factorization import FoldIn
from models.neighbours import item_neighbours
from models.release import Items
from models.scorer import TowerScorer
from services.retrieval.merge import Quota, merge
from services.retrieval.query import Query, Rows, Scores
from services.retrieval.server import QUOTAS, candidate_sources
from services.retrieval.sources import Source
from services.retrieval.vectors import ExactIndex, Found, Space, VectorTable
from training.config import TrainingConfig
from training.final_model import FinalFit
from training.metrics import Accuracy
from training.pipeline import popular_rows
from training.protocols import Fold
from training.ranks import MISSED, Ranked, rank_targets
from training.splits import Queries, thinned
from training.trend import choose_half_life
from training.utility import composite_utility

ALL = "all"
"""Name of the row with everything in it."""

CANDIDATES = 500
_QUESTIONS = 2_000
_BLOCK = 64  # questions at a time, whose parts are held: 100 MB with 60,000 items
_NO_LIMIT = 3600.0  # seconds; nobody waits for an answer
_RELEASE_ID = "fitted"

Progress = Callable[[str, int, int], None]
"""Called with (stage, steps done, steps in all)."""


def lift(
    fit: FinalFit, config: TrainingConfig, items: Items, fold: Fold, progress: Progress
) -> dict[str, Any]:
    """Takes apart what a fold's training run made.

    Args:
        fit: learnt from the fold's events.
        config: the settings of that run.
        items: the catalogue.
        fold: at most 2,000 of its questions are asked, at even distances.
        progress: watches.

    Returns:
        `{"lift_questions", "parts", "sources"}` as in docs/evaluation.md.
    """
    asked = fit.around.of(thinned(fold.queries, _QUESTIONS))
    release = fitted_release(fit, config, items, fold)
    users = user_histories(fit, fold, asked)
    found = find(release, items, asked, users, partial(progress, "sources"))
    return {
        "lift_questions": len(asked.questions()[0]),
        "parts": part_lift(fit, config, asked, partial(progress, "parts")),
        "sources": source_lift(found, QUOTAS, asked),
    }


def part_lift(
    fit: FinalFit, config: TrainingConfig, queries: Queries, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Each part alone, and all the others with the weights that were learnt with it.

    Weights are not learnt again without the part, nor is the first ten made diverse.
    """
    towers, evidence = fit.scorer.towers, evidence_parts(fit.tables, config.evidence)
    units = FinalScorer(towers, evidence, dict.fromkeys(DEFAULT_WEIGHTS, 1.0))
    learnt = np.array([fit.scorer.weights.get(name, 0.0) for name in units.names], np.float32)
    only = np.eye(len(learnt), dtype=np.float32)
    tried = [learnt, *only, *(learnt * (1 - row) for row in only)]
    together, *each = _measure(units, tried, queries, progress)
    alone, without = each[: len(learnt)], each[len(learnt) :]
    parts: dict[str, Any] = {
        name: {"weight": float(learnt[at]), "alone": alone[at], "without": without[at]}
        for at, name in enumerate(units.names)
    }
    return parts | {ALL: together}


def _measure(
    units: FinalScorer,
    tried: Sequence[NDArray[np.float32]],
    queries: Queries,
    progress: Callable[[int, int], None],
) -> list[dict[str, float]]:
    """Metrics with each of several (p,) weights; the parts, which are dear, are computed once."""
    questions = queries.questions()[1]
    total = int(questions.max()) + 1
    blocks: list[list[Ranked]] = []
    for start in range(0, total, _BLOCK):
        first, last = np.searchsorted(questions, [start, start + _BLOCK])
        block = queries.take(slice(first, last))
        asked = block.questions()[0]
        parts = units.catalogue_parts(asked.histories(units.towers.model.schema.history_length))
        blocks.append([_rank(parts, weights, block) for weights in tried])
        progress(start + len(asked), total)
    return [joined(ranked).metrics().named() for ranked in zip(*blocks, strict=True)]


def _rank(parts: NDArray[np.float32], weights: NDArray[np.float32], queries: Queries) -> Ranked:
    scores: NDArray[np.float32] = (parts * weights[:, np.newaxis]).sum(axis=1)
    return rank_targets(lambda _questions: scores, queries, scores.shape[1])


def joined(parts: Sequence[Ranked]) -> Ranked:
    """What was made of one block of questions after another."""
    before = np.cumsum([0, *(len(part.shown) for part in parts)])
    return Ranked(
        np.concatenate([part.ranks for part in parts]),
        np.concatenate([part.shown for part in parts]),
        parts[0].n_items,
        np.concatenate([part.questions + at for part, at in zip(parts, before, strict=False)]),
    )


def source_lift(
    found: Sequence[Mapping[str, Found]], quotas: Mapping[str, Quota], queries: Queries
) -> dict[str, Any]:
    """Each source alone, and all the others merged with their quotas as they are.

    Args:
        found: for each question of `queries`, what each source found.
        quotas: by source, its part in the merged list.
        queries: whose targets were to be found.
    """

    def recall(names: Sequence[str]) -> dict[str, float]:
        lists = [
            merge({name: each[name] for name in names}, quotas, CANDIDATES).rows for each in found
        ]
        return list_recall(lists, queries)

    names = list(found[0])
    sources: dict[str, Any] = {
        name: {
            "alone": recall([name]),
            "without": recall([other for other in names if other != name]),
        }
        for name in names
    }
    return sources | {ALL: recall(names)}


def list_recall(lists: Sequence[NDArray[np.int32]], queries: Queries) -> dict[str, float]:
    """Recall at 100 and 500 of one list of item rows a question, best first."""
    questions = queries.questions()[1]
    ranks = np.full(len(queries), MISSED, dtype=np.int64)
    for at, (question, target) in enumerate(zip(questions, queries.targets, strict=True)):
        place = np.flatnonzero(lists[question] == target)
        if len(place):
            ranks[at] = place[0]
    means = Accuracy.of(ranks, questions, len(lists)).means()
    return {name: means[name] for name in ("recall@100", "recall@500")}


@dataclass(frozen=True)
class FittedTables:
    """What sources read, not written yet; each as `models.release.Release` describes it."""

    transition_rows: Rows
    transition_scores: Scores
    ease_rows: Rows
    ease_scores: Scores
    neighbour_rows: Rows
    neighbour_scores: Scores
    popular_rows: Rows


@dataclass(frozen=True)
class FittedRelease:
    """What the candidate sources search, straight from a training run.

    Attributes:
        release: the tables.
        tower: the two towers.
        factors: (n, k) float32 item factors.
        fold_in: places a history among them.
        release_id: any name.
    """

    release: FittedTables
    tower: TowerScorer
    factors: Scores
    fold_in: FoldIn
    release_id: str = _RELEASE_ID

    def __len__(self) -> int:
        return len(self.factors)


def fitted_release(
    fit: FinalFit, config: TrainingConfig, items: Items, fold: Fold
) -> FittedRelease:
    """As `training.pipeline.train` would write it."""
    near, n = config.neighbours, len(items)
    neighbours = item_neighbours(
        composite_utility(fold.train, n, config.utility),
        metric=near.metric,
        shrink=near.shrink,
        m=near.count,
        missing=near.missing,
        min_support=near.min_support,
    )
    tables = fit.tables
    return FittedRelease(
        release=FittedTables(
            transition_rows=tables.transitions.rows,
            transition_scores=tables.transitions.scores,
            ease_rows=tables.ease.rows,
            ease_scores=tables.ease.scores,
            neighbour_rows=neighbours.rows,
            neighbour_scores=neighbours.scores,
            popular_rows=popular_rows(fold.train, n, choose_half_life(fold.train, n)),
        ),
        tower=fit.scorer.towers,
        factors=fit.factors.items,
        fold_in=tables.fold_in,
    )


def user_histories(fit: FinalFit, fold: Fold, queries: Queries) -> list[UserHistory]:
    """The user of each question as the service would be told of; taste only, which is all that
    sources read."""
    asked = queries.questions()[0]
    batch, learnt = asked.histories(HISTORY_LENGTH), np.diff(fold.train.offsets) > 0
    users = []
    for at, user in enumerate(asked.users):
        newest_last = np.flatnonzero(batch.rows[at] >= 0)[::-1]
        users.append(
            UserHistory(
                rows=batch.rows[at, newest_last],
                kinds=batch.kinds[at, newest_last],
                ages=batch.ages[at, newest_last],
                values=np.zeros(len(newest_last), np.float32),
                time=float(batch.times[at]),
                region=batch.regions[at],
                factors=fit.factors.users[user] if learnt[user] else np.empty(0, np.float32),
                around=batch.around_of(at),
            )
        )
    return users


def find(
    release: FittedRelease,
    items: Items,
    queries: Queries,
    users: Sequence[UserHistory],
    progress: Callable[[int, int], None],
) -> list[dict[str, Found]]:
    """For each question, what each source finds: 500 candidates, none of them seen."""
    index = ExactIndex()
    spaces = {Space.TOWER: release.tower.item_vectors, Space.MF: release.factors}
    tables = {
        space: VectorTable(vectors, items.adult, items.available)
        for space, vectors in spaces.items()
    }
    index.hold(release.release_id, tables)
    sources = candidate_sources(index)
    asked = queries.questions()[0]

    async def ask() -> list[dict[str, Found]]:
        found = []
        for at, user in enumerate(users):
            excluded = np.zeros(len(release), dtype=np.bool_)
            excluded[asked.seen(at)] = True
            query = Query(release, user, CANDIDATES, excluded, int(excluded.sum()), _NO_LIMIT)
            found.append(await _fetch(sources, query))
            progress(at + 1, len(asked))
        return found

    return asyncio.run(ask())


async def _fetch(sources: Sequence[Source], query: Query) -> dict[str, Found]:
    return {source.name: await source.fetch(query) for source in sources}
