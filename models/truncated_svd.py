"""Truncated singular value decomposition of a sparse matrix, by random projection."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

_OVERSAMPLING = 32
_POWER_ITERATIONS = 4


@dataclass(frozen=True)
class TruncatedSvd:
    """The largest singular values and their vectors: matrix ≈ left * values @ right.T.

    Attributes:
        left: (n, k) float32, orthonormal columns.
        values: (k,) float32, descending.
        right: (m, k) float32, orthonormal columns.
    """

    left: NDArray[np.float32]
    values: NDArray[np.float32]
    right: NDArray[np.float32]

    def split(self, dimensions: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Two tables, (n, dimensions) and (m, dimensions), whose inner product is the truncation.

        Singular values go evenly to both sides; dimensions beyond the rank are zero.
        """
        scale = np.sqrt(self.values)
        return _padded(self.left * scale, dimensions), _padded(self.right * scale, dimensions)


def truncated_svd(matrix: csr_array, dimensions: int, seed: int) -> TruncatedSvd:
    """Randomized range finding with power iterations (Halko, Martinsson, Tropp 2011, algorithms
    4.4 and 5.1); entries that are not stored are zeros.

    Args:
        matrix: (n, m) sparse, float32.
        dimensions: singular values wanted; fewer come back when the matrix is smaller.
        seed: of the random projection.
    """
    width = min(*matrix.shape, dimensions + _OVERSAMPLING)
    rng = np.random.default_rng(seed)
    sketch = rng.standard_normal((matrix.shape[1], width), dtype=np.float32)
    basis = np.linalg.qr(matrix @ sketch)[0]
    for _ in range(_POWER_ITERATIONS):
        basis = np.linalg.qr(matrix.T @ basis)[0]
        basis = np.linalg.qr(matrix @ basis)[0]
    left, values, right = np.linalg.svd(np.asarray(matrix.T @ basis).T, full_matrices=False)
    kept = min(dimensions, width)
    return TruncatedSvd(basis @ left[:, :kept], values[:kept], right[:kept].T)


def _padded(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    padded = np.zeros((len(vectors), dimensions), dtype=np.float32)
    padded[:, : vectors.shape[1]] = vectors
    return padded
