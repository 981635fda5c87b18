"""Many small weighted ridge regressions at once: the half step of alternating least squares."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

_BLOCK_ENTRIES = 1 << 14  # gathered vectors at once, padding included
_BLOCK_ROWS = 1 << 8  # systems solved at once


def solve_rows(
    weights: csr_array,
    other: NDArray[np.float32],
    *,
    unobserved_weight: float,
    penalties: NDArray[np.float32],
) -> NDArray[np.float32]:
    """For each row u the vector x that minimizes

        sum over stored (u, i) of c_ui (1 - x . y_i)^2 + alpha sum over all i of (x . y_i)^2
        + penalty_u |x|^2

    that is (alpha Y'Y + Y_u' C_u Y_u + penalty_u I) x = Y_u' c_u (Hu, Koren, Volinsky 2008, eq. 4).

    Rows are sorted by length and solved in blocks of about equal length, so that padding is little
    and everything is a batched product.

    Args:
        weights: (n, m) sparse, c of the observed pairs, > 0.
        other: (m, k) float32 y.
        unobserved_weight: alpha.
        penalties: (n,) float32, > 0.

    Returns:
        (n, k) float32; zero for rows without entries.
    """
    k = other.shape[1]
    vectors = torch.from_numpy(other)
    base = unobserved_weight * (vectors.T @ vectors)
    identity = torch.eye(k)
    solved = torch.zeros((weights.shape[0], k))
    for rows, columns, c in _blocks(weights):
        # (b, l, k); as a plain selection of rows, which is far faster than `vectors[columns]`.
        y = vectors.index_select(0, columns.flatten()).view(*columns.shape, k)
        weighted = y * c[:, :, None]
        penalty = torch.from_numpy(penalties[rows])[:, None, None] * identity
        systems = torch.baddbmm(base + penalty, weighted.transpose(1, 2), y)
        factors = torch.linalg.cholesky(systems)
        right = weighted.sum(dim=1)[:, :, None]
        solved[torch.from_numpy(rows)] = torch.cholesky_solve(right, factors)[:, :, 0]
    return solved.numpy()


def _blocks(
    weights: csr_array,
) -> Iterator[tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]]:
    """Rows of about equal length: (b,) rows, (b, l) int64 columns, (b, l) weights, padded by 0."""
    lengths = np.diff(weights.indptr)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        end = _end_of_block(lengths[order], start)
        rows = order[start:end]
        places = np.arange(lengths[rows[-1]])
        real = places < lengths[rows][:, None]
        at = np.where(real, weights.indptr[rows][:, None] + places, 0)
        c = np.where(real, weights.data[at], 0).astype(np.float32)
        columns = weights.indices[at].astype(np.int64)
        yield rows, torch.from_numpy(columns), torch.from_numpy(c)
        start = end


def _end_of_block(lengths: NDArray[np.integer], start: int) -> int:
    """One past the last row of the largest block that fits, at least one row."""
    last = min(start + _BLOCK_ROWS, len(lengths))
    entries = lengths[start:last].astype(np.int64) * np.arange(1, last - start + 1)
    return start + max(1, int(np.searchsorted(entries, _BLOCK_ENTRIES, side="right")))
