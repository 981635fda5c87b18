"""What a comparison of serving with the event log finds."""

from collections import Counter
from dataclasses import dataclass, field

from models.errors import ReportedError
from training.skew.logged import Asked

SCORE_TOLERANCE = 1e-5
"""Of a score, or of 1 where the score is less: what arithmetic in another order makes of it."""

_FEATURES = (
    "history_rows",
    "history_kinds",
    "history_ages",
    "history_values",
    "region",
    "device",
    "factors",
    "friends",
    "trend",
    "trend_here",
    "seen",
)


class SkewError(ReportedError):
    """Serving and training differ; the text names what does."""


@dataclass
class FeatureSkew:
    """How one feature was logged, against what the event log says.

    Attributes:
        name: of the feature.
        compared, differing: requests.
        largest: largest difference: of numbers and weights absolute, else places or items that
            differ.
        tolerance: what a difference must exceed to count; the largest that any request had.
        example: id of the first request that differs; empty for none.
    """

    name: str
    compared: int = 0
    differing: int = 0
    largest: float = 0.0
    tolerance: float = 0.0
    example: str = ""

    def add(self, request_id: str, difference: float, tolerance: float = 0.0) -> None:
        """Counts one request."""
        self.compared += 1
        self.largest = max(self.largest, difference)
        self.tolerance = max(self.tolerance, tolerance)
        if difference > tolerance:
            self.differing += 1
            self.example = self.example or request_id


@dataclass
class ScoreSkew:
    """Logged scores of one release, against its scorer on the logged input.

    Attributes:
        release_id: of the release.
        requests, scores: that were compared.
        skipped: scores of live items, or that are not finite.
        largest: largest difference, relative to the score where that is above 1.
        example: id of the first request beyond `SCORE_TOLERANCE`; empty for none.
    """

    release_id: str
    requests: int = 0
    scores: int = 0
    skipped: int = 0
    largest: float = 0.0
    example: str = ""


@dataclass
class Parity:
    """What came out.

    Attributes:
        requests: logged ones that were looked at.
        asked: those that were compared.
        skipped: how many were not, by reason.
        features: by name.
        scores: by release id.
    """

    requests: int = 0
    asked: list[Asked] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    features: dict[str, FeatureSkew] = field(
        default_factory=lambda: {name: FeatureSkew(name) for name in _FEATURES}
    )
    scores: dict[str, ScoreSkew] = field(default_factory=dict)

    def fault(self) -> str:
        """One line that names all that differs; empty when nothing does."""
        faults = [
            f"{each.name} differs in {each.differing} of {each.compared} requests, by up to "
            f"{each.largest:.4g} (request {each.example})"
            for each in self.features.values()
            if each.differing
        ]
        faults += [
            f"scores of release {each.release_id} differ by up to {each.largest:.4g} "
            f"(request {each.example})"
            for each in self.scores.values()
            if each.example
        ]
        return "; ".join(faults)

    def require(self) -> None:
        """Raises `SkewError` when anything differs."""
        if fault := self.fault():
            raise SkewError(fault)
