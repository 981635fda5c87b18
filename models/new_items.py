"""Items that came after a release was trained: their vectors, and a final score that knows them."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.evidence import (
    Evidence,
    FactorEvidence,
    GenreEvidence,
    ItemPrior,
    ItemRows,
    ItemToItem,
    Known,
)
from models.final_score import FinalScorer
from models.history import Surroundings
from models.scorer import FOLDED_COLUMNS, PRIOR_COLUMN, TowerScorer
from models.tastes import Tastes

Rows = NDArray[np.int32]
Matrix = NDArray[np.float32]

_CHUNK = 256
_KNOWN_CHUNK = 16_384


class Described(Protocol):
    """What the item tower reads of an item."""

    @property
    def genres(self) -> tuple[str, ...]: ...
    @property
    def year(self) -> int: ...


class NewItemVectors:
    """Vectors of numbered items by the item tower of one release.

    Items are computed in blocks of fixed size and place, so that equal items have equal vectors,
    to the last bit, in every process, whatever was known when. Safe to share between threads.

    Args:
        towers: of the release.
    """

    def __init__(self, towers: TowerScorer) -> None:
        self._towers = towers
        self._lock = threading.Lock()
        self._items: Sequence[Described] = ()
        self._vectors: Matrix = np.empty((0, towers.item_vectors.shape[1]), np.float32)

    def of(self, items: Sequence[Described]) -> Matrix:
        """(m, d) vectors of items, by number; only blocks that changed are computed."""
        with self._lock:
            if items is not self._items:
                self._vectors, self._items = self._computed(items), items
            return self._vectors

    def _computed(self, items: Sequence[Described]) -> Matrix:
        vectors = np.empty((len(items), self._vectors.shape[1]), np.float32)
        for start in range(0, len(items), _CHUNK):
            block = items[start : start + _CHUNK]
            if block == self._items[start : start + _CHUNK]:
                vectors[start : start + _CHUNK] = self._vectors[start : start + _CHUNK]
            else:
                vectors[start : start + _CHUNK] = self._block(block)
        return vectors

    def _block(self, items: Sequence[Described]) -> Matrix:
        padding = _CHUNK - len(items)
        genres = [item.genres for item in items] + [()] * padding
        years = np.array([item.year for item in items] + [0] * padding, np.int16)
        return self._towers.new_item_vectors(genres, years)[: len(items)]


class Extended:
    """A column of a release, with rows of new items after its own. Neither is copied.

    Args:
        known: (n, ...) of the release.
        new: (m, ...) of the items after it.
    """

    def __init__(self, known: ItemRows, new: Matrix) -> None:
        self._known = known
        self._new = new
        self.shape = (known.shape[0] + len(new), *known.shape[1:])

    def __getitem__(self, rows: Rows) -> Matrix:
        """(r, ...) of these rows."""
        n = self._known.shape[0]
        is_new = rows >= n
        if not is_new.any():
            return np.asarray(self._known[rows])
        values = np.empty((len(rows), *self.shape[1:]), np.float32)
        values[~is_new] = self._known[rows[~is_new]]
        values[is_new] = self._new[rows[is_new] - n]
        return values


class _ExtendedTowers(TowerScorer):
    def __init__(self, towers: TowerScorer, vectors: Matrix) -> None:
        super().__init__(towers.model, towers.encoder, towers.item_vectors)
        self.n_known = len(towers.item_vectors)
        self._all_vectors = Extended(towers.item_vectors, vectors)

    def vectors_of(self, rows: Rows) -> Matrix:
        return self._all_vectors[rows]


class Likes:
    """Items of a release that new items are most like: by the cosine of their tower vectors.

    Args:
        known: (n, d) tower vectors of the release.
        count: items kept for each new one.
    """

    def __init__(self, known: Matrix, count: int = 10) -> None:
        self._known = known
        self._count = min(count, len(known))
        self._vectors: Matrix = np.empty((0, known.shape[1]), np.float32)
        self._rows: Rows = np.empty((0, self._count), np.int32)

    def of(self, vectors: Matrix) -> Rows:
        """(m, k) int32 rows for (m, d) vectors; only what changed is compared again."""
        rows = np.empty((len(vectors), self._count), np.int32)
        held = len(self._rows)
        changed = np.ones(len(vectors), np.bool_)
        changed[:held] = (vectors[:held] != self._vectors).any(axis=1)
        rows[:held] = self._rows
        rows[changed] = self._nearest(vectors[changed])
        self._vectors, self._rows = vectors, rows
        return rows

    def _nearest(self, vectors: Matrix) -> Rows:
        """Block by block on both sides, so that memory is bounded whatever comes at once."""
        rows = np.empty((len(vectors), self._count), np.int32)
        for start in range(0, len(vectors), _CHUNK):
            block = vectors[start : start + _CHUNK, :-FOLDED_COLUMNS]
            rows[start : start + _CHUNK] = self._nearest_of_block(block)
        return rows

    def _nearest_of_block(self, block: Matrix) -> Rows:
        best = np.empty((len(block), 0), np.float32)
        rows = np.empty((len(block), 0), np.int32)
        for start in range(0, len(self._known), _KNOWN_CHUNK):
            known = np.asarray(self._known[start : start + _KNOWN_CHUNK, :-FOLDED_COLUMNS])
            lengths = np.maximum(np.linalg.norm(known, axis=1), 1e-12)
            cosines = block @ (known / lengths[:, None]).T
            places = _largest(cosines, self._count)
            best = np.hstack([best, np.take_along_axis(cosines, places, axis=1)])
            rows = np.hstack([rows, (places + start).astype(np.int32)])
            places = _largest(best, self._count)
            best = np.take_along_axis(best, places, axis=1)
            rows = np.take_along_axis(rows, places, axis=1)
        return rows


def _largest(values: Matrix, count: int) -> NDArray[np.intp]:
    """(b, k) places of the k largest of each row, largest first, of equal ones the first."""
    width = values.shape[1]
    if width <= count:
        return np.argsort(-values, axis=1, kind="stable")
    least = np.partition(values, width - count, axis=1)[:, width - count, np.newaxis]
    above = values > least
    # Of those that equal the least one, the first fill up what is left.
    spare = count - above.sum(axis=1, keepdims=True)
    equal = values == least
    chosen = above | (equal & (np.cumsum(equal, axis=1, dtype=np.int32) <= spare))
    places = np.nonzero(chosen)[1].reshape(len(values), count)
    order = np.argsort(-np.take_along_axis(values, places, axis=1), axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1)


@dataclass(frozen=True)
class ByItsLikes:
    """A part that events counted. Of a new item it says what it says, on average, of its likes.

    Zero, which is what the tables hold of it, would mean that nothing ever leads to it, and put it
    below everything that anything leads to.

    Attributes:
        part: for the items of the release.
        likes: (m, k) int32 rows of the items that each new one is most like.
        n_items: items of the release.
    """

    part: Evidence
    likes: Rows
    n_items: int

    @property
    def name(self) -> str:
        return self.part.name

    def score(self, known: Known, rows: Rows) -> Matrix:
        return self._with_likes(rows, lambda asked: self.part.score(known, asked))

    def scores(self, tastes: Tastes, around: Surroundings, rows: Rows) -> Matrix:
        return self._with_likes(rows, lambda asked: self.part.scores(tastes, around, asked))

    def _with_likes(self, rows: Rows, score: Callable[[Rows], Matrix]) -> Matrix:
        """(..., r) of rows, from what `score` says of items of the release."""
        is_new = rows >= self.n_items
        if not is_new.any():
            return score(rows)
        likes = self.likes[rows[is_new] - self.n_items]
        found = score(np.concatenate([rows[~is_new], likes.ravel()]))
        scores = np.empty((*found.shape[:-1], len(rows)), np.float32)
        own = len(rows) - len(likes)
        scores[..., ~is_new] = found[..., :own]
        of_likes = found[..., own:].reshape(*found.shape[:-1], *likes.shape)
        scores[..., is_new] = of_likes.mean(axis=-1)
        return scores


def extended_scorer(
    scorer: FinalScorer, vectors: Matrix, genres: Matrix, likes: Rows
) -> FinalScorer:
    """The final scorer of a release for its items and m new ones, in rows after those.

    The towers know a new item by its metadata, its genres count as any other's, its prior is that
    of items without events, and what training counted stands for it as it does for its likes.

    Args:
        scorer: of the release.
        vectors: (m, d) tower vectors of new items.
        genres: (m, g) genres of new items, in the columns of the release.
        likes: (m, k) rows of the items they are most like.
    """
    towers = _ExtendedTowers(scorer.towers, vectors)
    evidence = [_extended(part, vectors, genres, likes, towers.n_known) for part in scorer.evidence]
    return FinalScorer(towers, evidence, scorer.weights, scorer.head)


def _extended(
    part: Evidence, vectors: Matrix, genres: Matrix, likes: Rows, n_items: int
) -> Evidence:
    if isinstance(part, GenreEvidence):
        return replace(part, vectors=Extended(part.vectors, genres))
    if isinstance(part, ItemPrior):
        prior = np.logaddexp(vectors[:, PRIOR_COLUMN], 0).astype(np.float32)
        return replace(part, values=Extended(part.values, prior))
    if isinstance(part, FactorEvidence | ItemToItem):
        return ByItsLikes(part, likes, n_items)
    return part
