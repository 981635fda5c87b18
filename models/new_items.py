"""Items that came after a release was trained: their vectors, and a final score that knows them."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.evidence import Evidence, FactorEvidence, GenreEvidence, ItemPrior, ItemRows
from models.final_score import FinalScorer
from models.history import UserHistory
from models.scorer import PRIOR_COLUMN, TowerScorer

Rows = NDArray[np.int32]
Matrix = NDArray[np.float32]

_CHUNK = 256


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
        self._all_vectors = Extended(towers.item_vectors, vectors)

    def score(self, user: UserHistory, rows: Rows) -> Matrix:
        scores: Matrix = self._all_vectors[rows] @ self.user_vector(user)
        return scores


def extended_scorer(scorer: FinalScorer, vectors: Matrix, genres: Matrix) -> FinalScorer:
    """The final scorer of a release for its items and m new ones, in rows after those.

    Of a new item the towers know what its metadata says, and its genres and its prior count as
    those of any other item; in the tables that training counted it has no place.

    Args:
        scorer: of the release.
        vectors: (m, d) tower vectors of new items.
        genres: (m, g) genres of new items, in the columns of the release.
    """
    towers = _ExtendedTowers(scorer.towers, vectors)
    evidence = [_extended(part, vectors, genres) for part in scorer.evidence]
    return FinalScorer(towers, evidence, scorer.weights, scorer.head)


def _extended(part: Evidence, vectors: Matrix, genres: Matrix) -> Evidence:
    if isinstance(part, GenreEvidence):
        return replace(part, vectors=Extended(part.vectors, genres))
    if isinstance(part, ItemPrior):
        prior = np.logaddexp(vectors[:, PRIOR_COLUMN], 0).astype(np.float32)
        return replace(part, values=Extended(part.values, prior))
    if isinstance(part, FactorEvidence):
        nothing = np.zeros((len(vectors), part.items.shape[1]), np.float32)
        return replace(part, items=Extended(part.items, nothing))
    return part
