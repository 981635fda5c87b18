"""Item-item neighbours: for each item, the items most like it by who used both.

A metric maps a block of items against all items; `item_neighbours` does the rest (shrinkage, top m,
blocks). Missing values count as zero, the safe default: without shrinkage, ignoring them makes
one-rating items the neighbours of everything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

_BLOCK_CELLS = 1 << 23  # similarities held at a time

Metric = Callable[[csr_array, csr_array], NDArray[np.float32]]
"""(b, users) block of items and (n, users) all items to (b, n) similarities, larger is nearer."""


@dataclass(frozen=True)
class Neighbours:
    """Nearest items of every item.

    Attributes:
        rows: (n, m) int32, nearest first; -1 pads.
        scores: (n, m) float32 similarities; 0 pads.
    """

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]


def cosine(block: csr_array, items: csr_array) -> NDArray[np.float32]:
    """Cosine over all users, missing = 0."""
    dots = (block @ items.T).toarray()
    norms = np.sqrt(np.asarray(items.power(2).sum(axis=1)).ravel())
    block_norms = np.sqrt(np.asarray(block.power(2).sum(axis=1)).ravel())
    scale = np.outer(block_norms, norms)
    result: NDArray[np.float32] = np.divide(
        dots, scale, out=np.zeros(dots.shape, dtype=np.float32), where=scale > 0
    )
    return result


METRICS: Mapping[str, Metric] = {"cosine": cosine}


def item_neighbours(
    utility: csr_array, *, metric: str = "cosine", shrink: float = 20.0, m: int = 100
) -> Neighbours:
    """The m nearest items of every item.

    Args:
        utility: (users, n) what users got out of items.
        metric: a name in `METRICS`.
        shrink: similarities are multiplied by N / (N + shrink), N users in common.
        m: neighbours kept; only positive similarities count.
    """
    items = csr_array(utility.T).astype(np.float32)
    touched = items.copy()
    touched.data = np.ones_like(touched.data)
    n = items.shape[0]
    width = min(m, max(n - 1, 1))
    rows = np.full((n, width), -1, dtype=np.int32)
    scores = np.zeros((n, width), dtype=np.float32)
    size = max(1, _BLOCK_CELLS // max(n, 1))
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        similarity = METRICS[metric](items[part], items)
        if shrink > 0:
            common = (touched[part] @ touched.T).toarray()
            similarity *= common / (common + np.float32(shrink))
        similarity[np.arange(len(similarity)), np.arange(part.start, part.stop)] = 0
        rows[part], scores[part] = top_rows(similarity, width)
    return Neighbours(rows, scores)


def top_rows(scores: NDArray[np.float32], m: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The m largest positive entries of each row: columns and values, largest first.

    Equal values keep column order. Columns are -1, and values 0, where fewer are positive.
    """
    width = min(m, scores.shape[1])
    floor = -np.partition(-scores, width - 1, axis=1)[:, width - 1 : width]
    columns = np.full((len(scores), m), -1, dtype=np.int32)
    values = np.zeros((len(scores), m), dtype=np.float32)
    for i, row in enumerate(scores):
        found = np.flatnonzero((row >= floor[i]) & (row > 0))
        best = found[np.argsort(-row[found], kind="stable")][:width]
        columns[i, : len(best)] = best
        values[i, : len(best)] = row[best]
    return columns, values
