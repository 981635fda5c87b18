"""What is known of a user at one moment, as it travels between services. Needs no torch."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

HISTORY_LENGTH = 100
"""Most recent events the models look at."""


def _empty() -> NDArray[np.float32]:
    return np.empty(0, dtype=np.float32)


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

    def __post_init__(self) -> None:
        for name in ("kinds", "ages", "values"):
            if len(getattr(self, name)) != len(self.rows):
                raise ValueError(f"{name}: {len(getattr(self, name))} for {len(self.rows)} rows")
