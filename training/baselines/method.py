"""What every method of the comparison can do."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.sequences import EventSequences
from training.splits import Queries

Matrix = NDArray[np.float32]


class Fitted(Protocol):
    """A method that has learnt from a log."""

    def score(self, queries: Queries) -> Matrix:
        """(q, n) float32 scores of all items, from what is known of the users at each query."""


class Baseline(Protocol):
    """One setting of one method."""

    def fit(self, events: EventSequences, n_items: int) -> Fitted:
        """Learns from a log; dislikes and hides in it are nobody's taste."""
