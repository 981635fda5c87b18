"""How sure a comparison is: bootstrap intervals and paired tests over users (Efron 1979).

Users are resampled, with all their questions: two events of one user are not two witnesses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95

_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Difference:
    """A mean less another, over the same users.

    Attributes:
        value: as observed.
        low, high: percentile interval at `LEVEL`.
        p: two-sided, of there being no difference.
    """

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Bootstrap:
    """Means of several columns in the same resamples, so that columns can be compared.

    Attributes:
        observed: (m,) float64 means of what was observed.
        resampled: (resamples, m) float64 means in each resample.
    """

    observed: NDArray[np.float64]
    resampled: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        values: NDArray[np.float64],
        users: NDArray[np.int64],
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> "Bootstrap":
        """Resamples users with replacement; a mean is over all questions of the drawn users.

        Args:
            values: (q, m) one row a question, one column a mean; q > 0.
            users: (q,) user of each question.
        """
        codes, user = np.unique(users, return_inverse=True)
        n = len(codes)
        sums = np.zeros((n, values.shape[1] + 1))  # the last column counts questions
        np.add.at(sums, user, np.column_stack([values, np.ones(len(values))]))
        random = np.random.default_rng(seed)
        totals = np.empty((resamples, sums.shape[1]))
        step = max(1, _DRAWS_AT_ONCE // n)
        for start in range(0, resamples, step):
            size = min(step, resamples - start)
            drawn = random.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
            times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
            totals[start : start + size] = times.astype(np.float64) @ sums
        return cls(values.mean(axis=0), totals[:, :-1] / totals[:, -1:])

    def interval(self, column: int) -> tuple[float, float]:
        """Percentile interval of a mean at `LEVEL`."""
        return _interval(self.resampled[:, column])

    def difference(self, column: int, other: int) -> Difference:
        """A column less another. p is twice the smaller share of resamples on one side of zero; the
        observation counts as one of them, so p is never zero."""
        resampled = self.resampled[:, column] - self.resampled[:, other]
        one_side = min((resampled <= 0).sum(), (resampled >= 0).sum())
        p = min(1.0, 2 * (1 + one_side) / (1 + len(resampled)))
        value = self.observed[column] - self.observed[other]
        return Difference(float(value), *_interval(resampled), float(p))


def holm(p: Sequence[float]) -> list[float]:
    """p values corrected for there being several (Holm 1979), in the same order."""
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in corrected]


def _interval(resampled: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
