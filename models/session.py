"""What a session is, in numbers: the one definition of all features of a user's last events.

The features service stores them with every event, as of that event; the models read them as of the
request. Both, and training, call `session_features` on the same events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.events import EventKind
from models.history import taste_mask

SESSION_LENGTH = 100
"""Most recent events, of any kind, that all of this is about."""

WINDOWS = {"minutes": 10 * 60.0, "hours": 6 * 3600.0, "days": 7 * 86_400.0}
"""Spans of time that events are counted over, in seconds."""

GAP_SECONDS = 30 * 60.0
"""A longer pause ends a session."""

TASTE_HALF_LIFE_SECONDS = 86_400.0
"""Time after which an event of taste counts half in the taste vector."""

_KINDS = len(EventKind)

K = TypeVar("K", str, int)


@dataclass(frozen=True)
class SessionFeatures:
    """Features of b users.

    Attributes:
        counts: (b, windows, kinds) float32 events within each of `WINDOWS`, by kind from 1 on.
        hours: (b, windows) float32 hours watched.
        length: (b,) float32 seconds since the session began; 0 when the last event is more than
            `GAP_SECONDS` ago, or there is none.
    """

    counts: NDArray[np.float32]
    hours: NDArray[np.float32]
    length: NDArray[np.float32]

    @property
    def columns(self) -> NDArray[np.float32]:
        """(b, c) float32 as the user tower reads them, in the order of `COLUMNS`."""
        b = len(self.length)
        minutes = self.length[:, None] / np.float32(60)
        numbers = (self.counts.reshape(b, -1), self.hours, minutes)
        columns: NDArray[np.float32] = np.log1p(np.concatenate(numbers, axis=1))
        return columns


COLUMNS = (
    *(f"log_{kind.name.lower()}_last_{window}" for window in WINDOWS for kind in EventKind),
    *(f"log_hours_watched_last_{window}" for window in WINDOWS),
    "log_session_minutes",
)
"""Names of the columns of `SessionFeatures.columns`."""


def session_features(
    kinds: NDArray[np.int8], ages: NDArray[np.float32], values: NDArray[np.float32]
) -> SessionFeatures:
    """Features of b users' last events, as of the moment that ages are relative to.

    Args:
        kinds: (b, l) numbers of `EventKind`, most recent event first; 0 pads at the end.
        ages: (b, l) seconds, parallel to `kinds`.
        values: (b, l) stars or hours, parallel to `kinds`.
    """
    b = len(kinds)
    present = kinds > 0
    counts = np.empty((b, len(WINDOWS), _KINDS), np.float32)
    hours = np.empty((b, len(WINDOWS)), np.float32)
    cell = np.arange(b)[:, None] * (_KINDS + 1) + kinds
    watched = np.where(kinds == EventKind.WATCH, values, np.float32(0))
    for at, span in enumerate(WINDOWS.values()):
        inside = present & (ages < span)
        found = np.bincount(cell[inside], minlength=b * (_KINDS + 1))
        counts[:, at] = found.reshape(b, _KINDS + 1)[:, 1:]
        hours[:, at] = np.where(inside, watched, np.float32(0)).sum(axis=1)
    return SessionFeatures(counts, hours, _session_length(present, ages))


def _session_length(present: NDArray[np.bool_], ages: NDArray[np.float32]) -> NDArray[np.float32]:
    """(b,) age of the oldest event that no long pause lies after."""
    before = np.concatenate([np.zeros((len(ages), 1), np.float32), ages[:, :-1]], axis=1)
    goes_on = np.logical_and.accumulate(present & (ages - before <= GAP_SECONDS), axis=1)
    began: NDArray[np.float32] = np.where(goes_on, ages, np.float32(0)).max(axis=1, initial=0.0)
    return began


def taste_decay(ages: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h,) weights of events of taste in the taste vector, summing to one; newest first.

    Relative to the newest event, so that a user who comes back after a year has a taste, too.
    """
    if not len(ages):
        return np.empty(0, np.float32)
    weights = np.exp2((ages[0] - ages) / np.float32(TASTE_HALF_LIFE_SECONDS))
    decayed: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
    return decayed


def taste_vector(
    items: Sequence[K], kinds: NDArray[np.int8], ages: NDArray[np.float32]
) -> tuple[list[K], NDArray[np.float32]]:
    """What one user's last events say of taste: items by the decayed weight of their events.

    Args:
        items: of each event, oldest first.
        kinds: (h,) numbers of `EventKind`.
        ages: (h,) seconds.

    Returns:
        Keys, each once, and their (n,) float32 weights, which sum to one; largest first, ties by
        key.
    """
    codes: dict[K, int] = {}
    rows = np.array([codes.setdefault(item, len(codes)) for item in items], np.int32)
    newest_first = np.flatnonzero(taste_mask(rows, kinds))[::-1]
    of_taste = rows[newest_first]
    weights = np.bincount(of_taste, taste_decay(ages[newest_first]), len(codes))
    counted = np.bincount(of_taste, minlength=len(codes)) > 0
    ranked = sorted(
        (-weight, item)
        for item, weight, counts in zip(codes, weights.tolist(), counted.tolist(), strict=True)
        if counts
    )
    return [item for _, item in ranked], np.array([-weight for weight, _ in ranked], np.float32)
