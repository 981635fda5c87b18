"""Neighbourhood methods: items like those of the history, users with a like history."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.neighbours import item_neighbours, top_rows
from training.baselines.histories import ItemToItem, binary, recency_weights
from training.baselines.method import Matrix
from training.sequences import EventSequences
from training.splits import Queries


@dataclass(frozen=True)
class ItemKnn:
    """Each item by its cosine similarities to those of its nearest items that are in the history
    (Sarwar et al. 2001).

    Attributes:
        neighbours: nearest items kept for an item that is scored. (Kept for an item of the history
            instead, they leave most rarely seen items without a score: recall suffers.)
        shrink: similarities are multiplied by c / (c + shrink), c users in common.
        half_life: items after which an item of the history counts half; infinite counts all alike.
    """

    neighbours: int = 100
    shrink: float = 0.0
    half_life: float = math.inf

    def fit(self, events: EventSequences, n_items: int) -> ItemToItem:
        found = item_neighbours(binary(events, n_items), shrink=self.shrink, m=self.neighbours)
        real = found.rows >= 0
        parts = (found.scores[real], (found.rows[real], np.nonzero(real)[0]))
        return ItemToItem(csr_array(parts, shape=(n_items, n_items)), self.half_life)


@dataclass(frozen=True)
class UserKnn:
    """Items of the users nearest to the history by cosine, each counted by similarity.

    The history is compared as it is at the query, so users without a training event are served too.

    Attributes:
        neighbours: nearest users that count.
        shrink: similarities are multiplied by c / (c + shrink), c items in common.
    """

    neighbours: int = 100
    shrink: float = 0.0

    def fit(self, events: EventSequences, n_items: int) -> "_Users":
        matrix = binary(events, n_items)
        return _Users(matrix, np.diff(matrix.indptr), self.neighbours, self.shrink)


@dataclass(frozen=True)
class _Users:
    matrix: csr_array
    lengths: NDArray[np.int32]
    neighbours: int
    shrink: float

    def score(self, queries: Queries) -> Matrix:
        histories = recency_weights(queries, self.matrix.shape[1])
        common = (histories @ self.matrix.T).toarray()
        common[np.arange(len(queries)), queries.users] = 0  # nobody is a neighbour of oneself
        similarity = shrunk_cosine(common, np.diff(histories.indptr), self.lengths, self.shrink)
        users, weights = top_rows(similarity, self.neighbours)
        real = users >= 0
        parts = (weights[real], (np.nonzero(real)[0], users[real]))
        nearest = csr_array(parts, shape=similarity.shape)
        scores: Matrix = (nearest @ self.matrix).toarray().astype(np.float32)
        return scores


def shrunk_cosine(
    common: Matrix, left: NDArray[np.int32], right: NDArray[np.int32], shrink: float
) -> Matrix:
    """Cosine of sets times c / (c + shrink).

    Args:
        common: (a, b) float32 sizes c of intersections.
        left, right: (a,) and (b,) sizes of the sets.
        shrink: 0 leaves the cosine as it is.
    """
    norms = np.sqrt(np.outer(left, right), dtype=np.float32)
    cosine = np.divide(common, norms, out=np.zeros_like(common), where=common > 0)
    result: Matrix = cosine * common / np.maximum(common + np.float32(shrink), 1)
    return result
