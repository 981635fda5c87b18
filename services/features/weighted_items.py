"""Items and how much each of them counts: what `WeightedItems` messages carry."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class WeightedItems:
    """Parallel sequences, most first.

    Attributes:
        item_ids: each once.
        weights: (n,) float32, above 0.
    """

    item_ids: Sequence[str]
    weights: NDArray[np.float32]


NOTHING = WeightedItems((), np.empty(0, np.float32))
