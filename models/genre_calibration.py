"""Calibration of a slate's genres to a user's own (Steck, Calibrated recommendations, RecSys 2018).

Not to be confused with the calibration of predictions, which is `models.head`.
"""

import numpy as np
from numpy.typing import NDArray

_SMOOTHING = 0.01
"""Share of the user's mix in a slate's: keeps divergences finite. Steck's value."""

_TRACE = 1e-6


def genre_mix(
    members: NDArray[np.bool_], weights: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """What share of a history each genre has; an item's share is split among its genres.

    Args:
        members: (h, g) genres of the history's items.
        weights: (h,) not negative, of the items, such as their recency; None for equal ones.

    Returns:
        (g,) float32 that sum to one; all zero when no weighed item has a genre.
    """
    shares = _shares(members)
    mix = shares.sum(axis=0) if weights is None else weights.astype(np.float32) @ shares
    total = mix.sum()
    return np.asarray(mix / total if total > 0 else mix, np.float32)


class GenreCalibration:
    """How close a slate's mix of genres would be to the user's with one more candidate.

    Args:
        target: (g,) float32 p, the user's mix, from `genre_mix`.
        members: (n, g) genres of all candidates.
        pool: how many of the first of them are the pool.
        weight: factor of all gains.
    """

    def __init__(
        self,
        target: NDArray[np.float32],
        members: NDArray[np.bool_],
        pool: int,
        weight: float = 1.0,
    ) -> None:
        self._weight = weight
        self._members = members
        self._wanted = np.flatnonzero(target > 0)
        self._target = target[self._wanted].astype(np.float32)
        self._weighed = weight * self._target
        # A column a candidate: numpy adds long rows faster than short ones.
        self._own, self._has = self._of(members[:pool])
        self._parts = np.empty_like(self._own)
        # The empty slate's mix is nothing, and its smoothed mix the smoothing alone.
        self._total = _TRACE
        self._sum = _SMOOTHING * _TRACE * self._target[:, None]

    def of_pool(self) -> NDArray[np.float32]:
        """(p,) float32 gains: -KL(p || q), but for a constant, with a candidate of the pool added.

        q is the mix of the slate's items that have genres, smoothed by p. With t such items it is
        `(sum of their parts) / t`, so that only that sum and t have to be kept.
        """
        parts = np.add(self._own, self._sum, out=self._parts)
        gains: NDArray[np.float32] = self._weighed @ np.log(parts, out=parts)
        gains -= self._weight * np.log(self._total + self._has)
        return gains

    def put(self, position: int) -> None:
        """Takes any candidate into the slate."""
        if position < len(self._has):
            one = slice(position, position + 1)
            own, has = self._own[:, one], self._has[one]
        else:
            own, has = self._of(self._members[position][None])
        self._sum = self._sum + own
        self._total += float(has[0])

    def _of(self, members: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(wanted, k) smoothed genres of k candidates, and (k,) one for those that have any."""
        shares = _shares(members)[:, self._wanted].T
        has = np.asarray(members.any(axis=1), np.float32)
        smoothing = self._target[:, None] * (_SMOOTHING * has)
        return np.ascontiguousarray((1 - _SMOOTHING) * shares + smoothing), has


def _shares(members: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(k, g) float32, each row split evenly among its genres."""
    ones = members.astype(np.float32)
    return np.asarray(ones / np.maximum(ones.sum(axis=1, keepdims=True), 1), np.float32)
