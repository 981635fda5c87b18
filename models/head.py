"""Heads: from a final score to what it predicts.

Two objectives, as in Covington et al. (2016): the probability of a click, by a sigmoid and log
loss, or the expected utility on its scale of 0 to 15, by a ReLU and squared error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.errors import ReportedError

CLICK = "click"
UTILITY = "utility"
OBJECTIVES = (CLICK, UTILITY)

MAX_UTILITY = 15.0


class ObjectiveError(ReportedError):
    """An objective that does not exist; the text lists those that do."""


def check_objective(name: str) -> None:
    """Passes the names in `OBJECTIVES`.

    Raises:
        ObjectiveError: any other.
    """
    if name not in OBJECTIVES:
        raise ObjectiveError(f"objective: {name!r} is not one of {', '.join(OBJECTIVES)}")


@dataclass(frozen=True)
class Head:
    """A line through the final score, then the objective's own function. It keeps the order.

    Attributes:
        objective: `click` or `utility`.
        scale: slope, > 0.
        bias: intercept.
    """

    objective: str
    scale: float
    bias: float

    def __post_init__(self) -> None:
        check_objective(self.objective)

    def predict(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) float32: probabilities of a click, 0 to 1, or utilities, 0 to 15."""
        line = self.scale * scores.astype(np.float64) + self.bias
        values = expit(line) if self.objective == CLICK else np.clip(line, 0, MAX_UTILITY)
        predictions: NDArray[np.float32] = values.astype(np.float32)
        return predictions

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Head":
        """The head of a release manifest."""
        return cls(str(raw["objective"]), float(raw["scale"]), float(raw["bias"]))
