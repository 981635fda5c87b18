"""Ranks the targets of queries among the whole catalogue."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics import TOP, Accuracy, RankingMetrics
from training.splits import Queries

MISSED = np.iinfo(np.int32).max
"""A rank beyond every depth."""

_BLOCK = 256

ScoreBlock = Callable[[Queries], NDArray[np.float32]]
"""Queries (q) to scores (q, n_items) of the whole catalogue."""


@dataclass(frozen=True)
class Ranked:
    """What a model makes of queries.

    Attributes:
        ranks: (t,) int64 rank of each target among the items not seen; 0 is best. A target that
            was seen before is `MISSED`: no list without seen items can hold it.
        shown: (q, 10) int32 rows of each question's first ten, best first; -1 when no unseen item
            is left.
        n_items: size of the catalogue.
        questions: (t,) int64 row of `shown` that each target belongs to; see `Queries.questions`.
    """

    ranks: NDArray[np.int64]
    shown: NDArray[np.int32]
    n_items: int
    questions: NDArray[np.int64]

    def gain(self) -> float:
        """nDCG of single targets without a cut: mean of 1 / log2(rank + 2) over targets.

        What models are chosen by. Where one target in ten is among the first ten, nDCG@10 of some
        hundred users is mostly chance; here every target counts.
        """
        gains = np.where(self.ranks < MISSED, 1 / np.log2(self.ranks + 2.0), 0.0)
        return float(gains.mean()) if len(gains) else 0.0

    def accuracy(self) -> Accuracy:
        """One value a question."""
        return Accuracy.of(self.ranks, self.questions, len(self.shown))

    def metrics(self) -> RankingMetrics:
        """Means over questions."""
        return RankingMetrics.of(self.accuracy(), self.shown, self.n_items)


def rank_targets(score: ScoreBlock, queries: Queries, n_items: int) -> Ranked:
    """Ranks each target; the scores of one block of questions are all that is held.

    Of the other items with the target's score half count as better, so that a constant scorer
    gains nothing. Targets of one question with equal scores stand one behind another.

    Args:
        score: each question is scored once, however many targets it has.

    Raises:
        ValueError: a score is not a number.
    """
    asked, questions = queries.questions()
    targets = queries.targets.astype(np.int64)
    better = np.empty(len(queries), dtype=np.int64)
    equal = np.empty(len(queries), dtype=np.int64)
    shown = np.empty((len(asked), min(TOP, n_items)), dtype=np.int32)
    for start in range(0, len(asked), _BLOCK):
        block = asked.take(slice(start, start + _BLOCK))
        scores = score(block)
        if np.isnan(scores).any():
            raise ValueError("a score is not a number")
        unseen = _unseen(block, n_items)
        shown[start : start + len(block)] = _first(scores, unseen, shown.shape[1])
        begin, end = np.searchsorted(questions, [start, start + len(block)])
        for at in range(begin, end, _BLOCK):
            part = slice(at, min(at + _BLOCK, end))
            rows = questions[part] - start
            better[part], equal[part] = _compare(scores[rows], unseen[rows], targets[part])
    return Ranked(_ranks(better, equal, questions, n_items), shown, n_items, questions)


def _unseen(block: Queries, n_items: int) -> NDArray[np.bool_]:
    """(q, n_items) items that each query's user is not known to have had an event on."""
    unseen = np.ones((len(block), n_items), dtype=np.bool_)
    unseen[block.known()] = False
    return unseen


def _first(scores: NDArray[np.float32], unseen: NDArray[np.bool_], width: int) -> NDArray[np.int32]:
    """(q, width) rows of the best unseen items, best first; ties by row."""
    scores = np.maximum(scores, np.finfo(np.float32).min)
    np.copyto(scores, -np.inf, where=~unseen)
    last = np.partition(scores, -width, axis=1)[:, -width]
    at_least = np.flatnonzero(scores >= last[:, None])  # row after row, as few as there are ties
    row = at_least // scores.shape[1]
    found = scores.ravel()[at_least]
    tied = found == last[row]
    wanted = width - np.bincount(row[~tied], minlength=len(scores))
    ties = np.cumsum(tied)
    ties -= np.concatenate([[0], ties])[np.searchsorted(row, np.arange(len(scores)))][row]
    chosen = ~tied | (ties <= wanted[row])
    items = (at_least[chosen] % scores.shape[1]).reshape(-1, width)
    found = found[chosen].reshape(-1, width)
    items[found == -np.inf] = -1
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(items, order, axis=1).astype(np.int32)


def _compare(
    scores: NDArray[np.float32], unseen: NDArray[np.bool_], targets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(t,) unseen items better than each target, and others equal to it; the whole catalogue is
    better than a target that was seen."""
    at = np.arange(len(targets))
    own = scores[at, targets][:, None]
    better = ((scores > own) & unseen).sum(axis=1)
    equal = ((scores == own) & unseen).sum(axis=1) - 1
    missed = ~unseen[at, targets]
    return np.where(missed, scores.shape[1], better), np.where(missed, 0, equal)


def _ranks(
    better: NDArray[np.int64],
    equal: NDArray[np.int64],
    questions: NDArray[np.int64],
    n_items: int,
) -> NDArray[np.int64]:
    """(t,) ranks. Of two unequal targets of a question one is better, so those with as many better
    items are the tied ones."""
    key = questions * (n_items + 1) + better
    order = np.argsort(key, kind="stable")
    _keys, first, group, size = np.unique(
        key[order], return_index=True, return_inverse=True, return_counts=True
    )
    tied_targets = np.empty_like(key)
    before = np.empty_like(key)
    tied_targets[order] = size[group] - 1
    before[order] = np.arange(len(key)) - first[group]
    ranks: NDArray[np.int64] = better + (equal - tied_targets) // 2 + before
    return np.where(better < n_items, ranks, MISSED)
