"""Merges what the sources found into one list: quotas, no duplicates, attribution, one order."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.retrieval.vectors import Found

_RANK_OFFSET = 60
"""The constant of reciprocal rank fusion; 60 in its paper."""


@dataclass(frozen=True)
class Quota:
    """A source's part in the merged list.

    Attributes:
        share: fraction of the list that the source's best items are sure of, 0 to 1. The rest is
            filled by merged score.
        weight: the source's weight in the merged score, > 0.
    """

    share: float
    weight: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share: {self.share} is not within 0 to 1")
        if not self.weight > 0:
            raise ValueError(f"weight: {self.weight} is not above 0")


@dataclass(frozen=True)
class Merged:
    """Candidates of one request, best first.

    Attributes:
        rows: (m,) int32, distinct item rows.
        scores: (m,) float32, not increasing.
        positions: by source, positions in `rows` of what it found, in its own order; int32.
        source_scores: by source, its own scores; parallel to its positions.
    """

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]
    positions: Mapping[str, NDArray[np.int32]]
    source_scores: Mapping[str, NDArray[np.float32]]


def merge(found: Mapping[str, Found], quotas: Mapping[str, Quota], count: int) -> Merged:
    """Merges by weighted reciprocal rank fusion, after each source's quota is met.

    An item's merged score is the sum over the sources that found it of `weight / (60 + rank)`
    (Cormack, Clarke and Buettcher, SIGIR 2009). Scores of different sources are never compared:
    they have no common scale.

    Args:
        found: by source name, what it found; rows are distinct within a source.
        quotas: by source name; the shares of the sources in `found` sum to at most 1.
        count: most candidates wanted.
    """
    if not found:
        nothing = Found.nothing()
        return Merged(nothing.rows, nothing.scores, {}, {})
    rows, where = np.unique(
        np.concatenate([part.rows for part in found.values()]), return_inverse=True
    )
    scores = np.zeros(len(rows), dtype=np.float64)
    guaranteed = np.zeros(len(rows), dtype=np.bool_)
    start = 0
    slots: dict[str, NDArray[np.intp]] = {}
    for name, part in found.items():
        slot = slots[name] = where[start : start + len(part)]
        start += len(slot)
        scores[slot] += quotas[name].weight / (_RANK_OFFSET + 1 + np.arange(len(slot)))
        guaranteed[slot[: int(quotas[name].share * count)]] = True
    kept = np.lexsort((rows, -scores, ~guaranteed))[:count]
    kept = kept[np.lexsort((rows[kept], -scores[kept]))]
    position = np.full(len(rows), -1, dtype=np.int32)
    position[kept] = np.arange(len(kept), dtype=np.int32)
    inside = {name: position[slot] >= 0 for name, slot in slots.items()}
    return Merged(
        rows=rows[kept].astype(np.int32),
        scores=scores[kept].astype(np.float32),
        positions={name: position[slot][inside[name]] for name, slot in slots.items()},
        source_scores={name: found[name].scores[inside[name]] for name in found},
    )
