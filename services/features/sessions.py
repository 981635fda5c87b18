"""What the online store holds of a user's recent events. The one place that says how it is made.

A new live feature is a field of `Session`, its computation in `Session.of`, and a line in the
schema of `repo/definitions.py`; a test keeps the two lists equal.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.session import SESSION_LENGTH, session_features, taste_vector
from services.features.event_log import History
from services.features.events import Event


@dataclass(frozen=True)
class Session:
    """A user's recent events, as parallel sequences of length <= SESSION_LENGTH, oldest first.

    Attributes:
        item_ids: items.
        kinds: numbers of `EventKind`.
        timestamps: Unix seconds.
        values: stars or hours, else 0.
        region: region of the latest event that had one; empty without one.
        version: version of the log that the session was made from; 0 for a user without events.
        counts_minutes, counts_hours, counts_days: events within each of `models.session.WINDOWS`
            before the newest event, one number a kind in the order of `EventKind`; these and what
            follows is as of the newest event, and empty without one.
        hours_watched: hours watched within each of the windows.
        session_start: Unix seconds of the first event that no long pause lies after.
        taste_item_ids: items of taste, the one that weighs most first.
        taste_weights: their weights, which sum to one; see `models.session.taste_vector`.
    """

    item_ids: Sequence[str] = ()
    kinds: Sequence[int] = ()
    timestamps: Sequence[float] = ()
    values: Sequence[float] = ()
    region: str = ""
    version: int = 0
    counts_minutes: Sequence[int] = ()
    counts_hours: Sequence[int] = ()
    counts_days: Sequence[int] = ()
    hours_watched: Sequence[float] = ()
    session_start: float = 0.0
    taste_item_ids: Sequence[str] = ()
    taste_weights: Sequence[float] = ()

    @classmethod
    def of(cls, history: History) -> "Session":
        """The session of a user's latest events."""
        return cls.of_all([history])[0]

    @classmethod
    def of_all(cls, histories: Sequence[History]) -> list["Session"]:
        """The sessions of several users; for many, much faster than one by one."""
        cut = [history.events[-SESSION_LENGTH:] for history in histories]
        versions = (history.version for history in histories)
        computed = _computed([events for events in cut if events])
        return [
            cls(
                item_ids=[event.item_id for event in events],
                kinds=[event.kind for event in events],
                timestamps=[event.timestamp for event in events],
                values=[event.value for event in events],
                region=_last_region(events),
                version=version,
                **(next(computed) if events else {}),
            )
            for events, version in zip(cut, versions, strict=True)
        ]


def _last_region(events: Sequence[Event]) -> str:
    return next((event.region for event in reversed(events) if event.region), "")


def _computed(users: Sequence[Sequence[Event]]) -> Iterator[dict[str, Any]]:
    """The features that are computed, by name, for users with events."""
    # As wide as training's rows, because sums of rows of another width are rounded differently.
    shape = (len(users), SESSION_LENGTH)
    kinds, ages = np.zeros(shape, np.int8), np.zeros(shape, np.float32)
    values = np.zeros(shape, np.float32)
    for user, events in enumerate(users):
        newest_first, newest = events[::-1], events[-1].timestamp
        kinds[user, : len(events)] = [event.kind for event in newest_first]
        ages[user, : len(events)] = [newest - event.timestamp for event in newest_first]
        values[user, : len(events)] = [event.value for event in newest_first]
    features = session_features(kinds, ages, values)
    for user, events in enumerate(users):
        oldest_first = slice(len(events) - 1, None, -1)
        taste_item_ids, taste_weights = taste_vector(
            [event.item_id for event in events], kinds[user, oldest_first], ages[user, oldest_first]
        )
        minutes, hours, days = features.counts[user].astype(int).tolist()
        yield {
            "counts_minutes": minutes,
            "counts_hours": hours,
            "counts_days": days,
            "hours_watched": features.hours[user].tolist(),
            "session_start": events[-1].timestamp - float(features.length[user]),
            "taste_item_ids": taste_item_ids,
            "taste_weights": taste_weights.tolist(),
        }
