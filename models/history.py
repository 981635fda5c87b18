"""What is known of a user at one moment, as it travels between services. Needs no torch."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.events import NEGATIVE

HISTORY_LENGTH = 100
"""Most recent events the models look at."""

_POSITIVE = np.array([kind not in NEGATIVE for kind in range(128)])  # by number of the kind


def _empty() -> NDArray[np.float32]:
    return np.empty(0, dtype=np.float32)


def _no_rows() -> NDArray[np.int32]:
    return np.empty(0, dtype=np.int32)


@dataclass(frozen=True)
class WeightedRows:
    """Item rows and how much each of them counts, most first.

    Attributes:
        rows: (k,) int32, each once.
        weights: (k,) float32 > 0.

    Raises:
        ValueError: the parallel arrays differ in length.
    """

    rows: NDArray[np.int32] = field(default_factory=_no_rows)
    weights: NDArray[np.float32] = field(default_factory=_empty)

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.weights):
            raise ValueError(f"weights: {len(self.weights)} for {len(self.rows)} rows")

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """(r,) float32 weights of item rows; 0 for a row that is not among these."""
        if not len(self.rows):
            return np.zeros(len(rows), np.float32)
        known, weights = self._by_row
        place = np.minimum(np.searchsorted(known, rows), len(known) - 1)
        found: NDArray[np.float32] = np.where(known[place] == rows, weights[place], np.float32(0))
        return found

    @cached_property
    def _by_row(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Rows in order, and their weights; each request looks up several times."""
        order = np.argsort(self.rows)
        return self.rows[order], self.weights[order]


@dataclass(frozen=True)
class Surroundings:
    """What goes on around a user at one moment.

    Attributes:
        friends: what friends lately liked; see `models.friends`.
        trend: what is on the rise everywhere; see `models.trending`.
        trend_here: what is on the rise in the user's region.
    """

    friends: WeightedRows = field(default_factory=WeightedRows)
    trend: WeightedRows = field(default_factory=WeightedRows)
    trend_here: WeightedRows = field(default_factory=WeightedRows)


@dataclass(frozen=True)
class UserHistory:
    """A user at one moment: recent events, oldest first, as parallel arrays of length h.

    Attributes:
        rows: (h,) int32, item rows of the release.
        kinds: (h,) int8, numbers of `EventKind`.
        ages: (h,) float32, seconds from the event to `time`, >= 0.
        values: (h,) float32, stars or hours, else 0.
        time: the moment, in Unix seconds.
        region: region code, or empty.
        device: device class, or empty.
        factors: (k,) float32 matrix-factorization vector, or empty for a user unseen in training.
        around: what goes on around the user.

    Raises:
        ValueError: the parallel arrays differ in length.
    """

    rows: NDArray[np.int32]
    kinds: NDArray[np.int8]
    ages: NDArray[np.float32]
    values: NDArray[np.float32]
    time: float
    region: str = ""
    device: str = ""
    factors: NDArray[np.float32] = field(default_factory=_empty)
    around: Surroundings = field(default_factory=Surroundings)

    def __post_init__(self) -> None:
        for name in ("kinds", "ages", "values"):
            if len(getattr(self, name)) != len(self.rows):
                raise ValueError(f"{name}: {len(getattr(self, name))} for {len(self.rows)} rows")

    def without(self, row: int) -> "UserHistory":
        """The user as if there had been no event, of any kind, on one item."""
        kept = self.rows != row
        return replace(
            self,
            rows=self.rows[kept],
            kinds=self.kinds[kept],
            ages=self.ages[kept],
            values=self.values[kept],
        )


def taste_mask(
    rows: NDArray[np.int32], kinds: NDArray[np.int8], starts: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Which events of a history, oldest first, count as taste.

    Negative kinds do not. Of consecutive events on one item (view, click, like) the last counts.

    Args:
        rows: (h,) item rows.
        kinds: (h,) event kinds.
        starts: (h,) true where another user's history begins; None for one user.
    """
    positive = np.flatnonzero(_POSITIVE[kinds])
    run_goes_on = np.zeros(len(positive), dtype=np.bool_)
    run_goes_on[:-1] = rows[positive[1:]] == rows[positive[:-1]]
    if starts is not None:
        user = np.cumsum(starts)[positive]
        run_goes_on[:-1] &= user[1:] == user[:-1]
    mask = np.zeros(len(rows), dtype=np.bool_)
    mask[positive[~run_goes_on]] = True
    return mask
