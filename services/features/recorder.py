"""Takes events in: checked, stored for good, then visible to the next reader."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.features.async_log import AsyncEventLog
from services.features.batches import checked
from services.features.events import MAX_EVENTS, Event, FieldError, validate_event
from services.features.publisher import SessionPublisher


@dataclass(frozen=True)
class Recorded:
    """What became of a request's events.

    Attributes:
        accepted: stored now.
        duplicates: stored before.
        errors: refused events, as position and reason, by position.
    """

    accepted: int
    duplicates: int
    errors: list[tuple[int, FieldError]]


class EventRecorder:
    """Stores events and updates the sessions of their users.

    Args:
        event_log: where events go.
        publisher: who updates sessions.
        stored: called when events are durable, before their sessions are pushed.
    """

    def __init__(
        self,
        event_log: AsyncEventLog,
        publisher: SessionPublisher,
        stored: Callable[[], None] = lambda: None,
    ) -> None:
        self._log = event_log
        self._publisher = publisher
        self._stored = stored

    async def record(self, events: Sequence[Event]) -> Recorded:
        """Stores the good events; returns when they are durable and their sessions are pushed.

        Raises:
            InvalidArgument: no events, more than `MAX_EVENTS`, or not one that is valid.
            Unavailable: the event log is down; events may or may not have been stored.
        """
        now = time.time()
        found = checked("events", events, MAX_EVENTS, lambda event: validate_event(event, now))
        result = await self._log.append(found.good)
        self._stored()
        await self._publisher.publish(result.versions.keys())
        return Recorded(result.accepted, result.duplicates, found.errors)
