"""Items like an item, from the neighbours that training found."""

from dataclasses import dataclass

import numpy as np

from models.neighbours import METRICS, MISSING
from models.release import Release
from services.common.errors import FailedPrecondition, InvalidArgument
from services.retrieval.vectors import Found


@dataclass(frozen=True)
class Comparison:
    """How items are compared: names in `METRICS` and `MISSING` of `models.neighbours`."""

    method: str = "cosine"
    missing: str = "zero"

    @classmethod
    def held_by(cls, release: Release) -> "Comparison":
        """The one comparison that a release holds neighbours of."""
        config = release.manifest.config.get("neighbours", {})
        return cls(config.get("metric", cls.method), config.get("missing", cls.missing))


def check_comparison(release: Release, method: str, missing: str) -> Comparison:
    """What the release holds, if that is what was asked for; an empty name asks for it.

    Raises:
        InvalidArgument: no such method, or no such rule for missing values.
        FailedPrecondition: the release holds another one.
    """
    held = Comparison.held_by(release)
    for field, wanted, own, known in (
        ("method", method, held.method, METRICS),
        ("missing", missing, held.missing, MISSING),
    ):
        if wanted and wanted not in known:
            raise InvalidArgument(field, f"{wanted!r} is not one of {', '.join(known)}")
        if wanted not in ("", own):
            raise FailedPrecondition(
                f"{field}: release {release.release_id} holds method {held.method} "
                f"with missing {held.missing}, not {wanted}"
            )
    return held


def similar_items(release: Release, row: int, count: int) -> Found:
    """The nearest `count` items of one item; fewer when training kept fewer."""
    rows = np.asarray(release.neighbour_rows[row])
    real = np.flatnonzero(rows >= 0)[:count]
    return Found(rows[real], np.asarray(release.neighbour_scores[row])[real])
