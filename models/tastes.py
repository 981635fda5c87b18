"""Several histories at once, as matrices: what a part sums over each of them is one product."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tastes:
    """Events of taste of b histories.

    Attributes:
        rows: (b, l) int32 item rows, newest first; -1 pads at the end.
    """

    rows: NDArray[np.int32]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(b,) events of each history."""
        lengths: NDArray[np.int64] = (self.rows >= 0).sum(axis=1)
        return lengths

    def weighed(
        self, weights: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Weights of histories' items.

        Args:
            weights: (d,) of the newest event, of the one before, and so on; older ones count 0.

        Returns:
            (s,) items, each once, and (b, s) sums of the weights of each one's events.
        """
        recent = self.rows[:, : len(weights)]
        history, place = np.nonzero(recent >= 0)
        items, at = np.unique(recent[history, place], return_inverse=True)
        b, s = len(recent), len(items)
        sums = np.bincount(history * s + at, weights[place], minlength=b * s)
        return items, sums.reshape(b, s).astype(np.float64)  # of nothing, the sums are integers
