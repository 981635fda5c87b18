"""Heads: from a final score to what it predicts.

Two objectives, as in Covington et al. (2016): the probability of a click, by a sigmoid and log
loss, or the expected utility on its scale of 0 to 15, by a ReLU and squared error.
"""

from collections.abc import Mapping, Sequence
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
    """A rising line in pieces through the final score, then the objective's own function.

    Beyond its ends the line goes on as its first and last piece do. It keeps the order of scores,
    except where a probability or a utility reaches its bound.

    Attributes:
        objective: `click` or `utility`.
        knots: k >= 2 rising scores.
        values: k rising values of the line there.
    """

    objective: str
    knots: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        check_objective(self.objective)
        rising = all((np.diff(each) > 0).all() for each in (self.knots, self.values))
        if not (len(self.knots) == len(self.values) >= 2 and rising):
            raise ValueError(f"head: the line through {self.knots}, {self.values} does not rise")

    def predict(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) float32: probabilities of a click, 0 to 1, or utilities, 0 to 15."""
        line = self.values[0] + pieces(scores, self.knots) @ np.diff(self.values)
        values = expit(line) if self.objective == CLICK else np.clip(line, 0, MAX_UTILITY)
        predictions: NDArray[np.float32] = values.astype(np.float32)
        return predictions

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Head":
        """The head of a release manifest."""
        return cls(str(raw["objective"]), tuple(raw["knots"]), tuple(raw["values"]))


def pieces(scores: NDArray[np.float32], knots: Sequence[float]) -> NDArray[np.float64]:
    """(n, k - 1) how far each score has come between each two of k knots: 0 to 1, less than 0
    before the first, more than 1 after the last."""
    at = np.asarray(knots, dtype=np.float64)
    done = (scores.astype(np.float64)[:, None] - at[:-1]) / np.diff(at)
    low, high = np.zeros(len(at) - 1), np.ones(len(at) - 1)
    low[0], high[-1] = -np.inf, np.inf
    return np.clip(done, low, high)
