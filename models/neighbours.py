"""Items near an item: cosine of their columns of the utility matrix, missing values as zero."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, diags_array


@dataclass(frozen=True)
class Neighbours:
    """The nearest items of every item.

    Attributes:
        rows: (n, m) int32, nearest first; -1 pads.
        scores: (n, m) float32 similarities, not increasing; 0 pads.
    """

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]


def cosine_neighbours(
    utilities: csr_array, count: int, *, shrinkage: float = 20.0, block: int = 1024
) -> Neighbours:
    """Item-item cosine similarity, shrunk towards zero where few users had both items.

    The similarity of two items with n common users is multiplied by n / (n + shrinkage), since two
    items with one user in common look alike by accident. Computed block by block: memory grows with
    `block` times the number of items, never with users times items.

    Args:
        utilities: (users, n) sparse utilities, >= 0.
        count: neighbours kept for an item, m.
        shrinkage: strength of the shrinking, in common users.
        block: items at a time.
    """
    n = utilities.shape[1]
    columns = csc_array(utilities, dtype=np.float32)
    norms = np.sqrt(np.asarray(columns.power(2).sum(axis=0)).ravel())
    unit = csc_array(columns @ diags_array(1 / np.maximum(norms, 1e-12)))
    had = csc_array(columns.astype(bool), dtype=np.float32)
    kept = min(count, max(n - 1, 1))
    rows = np.full((n, kept), -1, np.int32)
    scores = np.zeros((n, kept), np.float32)
    for start in range(0, n, block):
        part = slice(start, min(start + block, n))
        similar = (unit[:, part].T @ unit).toarray()
        common = (had[:, part].T @ had).toarray()
        similar *= common / (common + shrinkage)
        similar[np.arange(similar.shape[0]), np.arange(part.start, part.stop)] = 0.0
        rows[part], scores[part] = _largest(similar.astype(np.float32), kept)
    return Neighbours(rows, scores)


def _largest(
    values: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Columns and values of the largest positive values of each row, largest first."""
    columns = np.argpartition(-values, min(count, values.shape[1]) - 1, axis=1)[:, :count]
    found = np.take_along_axis(values, columns, axis=1)
    order = np.lexsort((columns, -found), axis=1)
    columns = np.take_along_axis(columns, order, axis=1).astype(np.int32)
    found = np.take_along_axis(found, order, axis=1)
    columns[found <= 0] = -1
    return columns, np.maximum(found, 0.0)
