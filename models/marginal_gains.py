"""What each candidate would add to a slate, given what is in it: relevance, and unlikeness."""

from math import sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_EXHAUSTED = 1e-4
"""Volumes below are nothing: float32 cosines are not exact enough to tell them apart."""


class MarginalGains(Protocol):
    """The first p candidates are the pool, those after it are only ever put into the slate."""

    def of_pool(self) -> NDArray[np.float32]:
        """(p,) finite gains."""

    def put(self, candidate: int) -> None:
        """Takes a candidate into the slate."""


class Relevance:
    """Relevance alone.

    Args:
        relevance: (p,) float32, weighed.
    """

    def __init__(self, relevance: NDArray[np.float32]) -> None:
        self._relevance = relevance

    def of_pool(self) -> NDArray[np.float32]:
        return self._relevance

    def put(self, candidate: int) -> None:
        pass


class MarginalRelevance:
    """Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    The gain is `relevance - w * max cosine to those in the slate`.

    Args:
        relevance: (p,) float32, weighed.
        vectors: (p + f, d) float32 vectors of the pool and of f more candidates.
        weight: w.
    """

    def __init__(
        self, relevance: NDArray[np.float32], vectors: NDArray[np.float32], weight: float
    ) -> None:
        self._relevance = relevance
        self._unit = _unit(vectors)
        self._weight = weight
        self._nearest = np.zeros(len(relevance), np.float32)

    def of_pool(self) -> NDArray[np.float32]:
        return self._relevance - self._weight * self._nearest

    def put(self, candidate: int) -> None:
        pool = self._unit[: len(self._nearest)]
        self._nearest = np.maximum(self._nearest, pool @ self._unit[candidate])


class DeterminantalGains:
    """Greedy MAP inference of a determinantal point process (Chen, Zhang, Zhou, NeurIPS 2018).

    The kernel is `L = diag(q) S diag(q)` with `S = (1 + cosine) / 2`, which is positive
    semidefinite, and `q = exp(relevance / 2w)`. A candidate adds to log det of L

        relevance / w + log v,    v = S_ii - |c_i|^2

    where c is its row of the Cholesky factor of S, kept up to date by one row operation for each
    that is put into the slate. Gains are that times w, in which nothing overflows when w is small.

    A candidate that is all but a combination of the slate counts as the smallest volume that
    float32 cosines resolve. Once all do, gains differ by relevance alone.

    Args:
        relevance: (p,) float32, weighed.
        vectors: (p + f, d) float32 vectors of the pool and of f more candidates.
        weight: w.
        most: candidates that are ever put into the slate.
    """

    def __init__(
        self,
        relevance: NDArray[np.float32],
        vectors: NDArray[np.float32],
        weight: float,
        most: int,
    ) -> None:
        self._relevance = relevance
        unit = _unit(vectors)
        self._kernel = 0.5 + 0.5 * (unit @ unit.T)
        self._weight = weight
        self._factor = np.empty((most, len(vectors)), np.float32)
        self._rank = 0
        self._volume = np.ones(len(vectors), np.float32)

    def of_pool(self) -> NDArray[np.float32]:
        gains: NDArray[np.float32] = np.log(self._volume[: len(self._relevance)])
        gains *= self._weight
        gains += self._relevance
        return gains

    def put(self, candidate: int) -> None:
        volume = float(self._volume[candidate])
        if volume <= _EXHAUSTED:
            return
        known = self._factor[: self._rank]
        row = self._factor[self._rank]
        np.subtract(self._kernel[candidate], known[:, candidate] @ known, out=row)
        row /= sqrt(volume)
        self._rank += 1
        self._volume -= row * row
        np.maximum(self._volume, _EXHAUSTED, out=self._volume)


def unit_scale(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales scores to 0..1; infinite ones go to the ends, and what is no number to the lower."""
    finite = scores[np.isfinite(scores)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    scaled: NDArray[np.float32] = np.clip((scores - low) / max(high - low, 1e-12), 0, 1)
    return np.nan_to_num(scaled).astype(np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.maximum(
        np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12
    )
    return unit
