"""What the online store holds of a user's recent events. The one place that says how it is made.

A new live feature is a field of `Session`, its computation in `Session.of`, and a line in the
schema of `repo/definitions.py`; a test keeps the two lists equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.features.event_log import History
from services.features.events import Event

SESSION_LENGTH = 100
"""Most recent events a session keeps: at least as many as the models look at."""


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
    """

    item_ids: Sequence[str] = ()
    kinds: Sequence[int] = ()
    timestamps: Sequence[float] = ()
    values: Sequence[float] = ()
    region: str = ""
    version: int = 0

    @classmethod
    def of(cls, history: History) -> "Session":
        """The session of a user's latest events."""
        events = history.events[-SESSION_LENGTH:]
        return cls(
            item_ids=[event.item_id for event in events],
            kinds=[event.kind for event in events],
            timestamps=[event.timestamp for event in events],
            values=[event.value for event in events],
            region=_last_region(events),
            version=history.version,
        )


def _last_region(events: Sequence[Event]) -> str:
    return next((event.region for event in reversed(events) if event.region), "")
