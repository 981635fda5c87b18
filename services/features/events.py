"""One thing a user did, and the rules it must meet before it is stored."""

import math
from dataclasses import dataclass

from models.events import EventKind

MAX_EVENTS = 10_000
MAX_ID_LENGTH = 128
MAX_REGION_LENGTH = 64
MAX_VALUE = 1e6
MAX_STARS = 10.0
MAX_SECONDS_AHEAD = 3600.0
"""How far a producer's clock may run ahead of ours."""

_KINDS = frozenset(kind.value for kind in EventKind)


@dataclass(frozen=True, slots=True)
class Event:
    """An event as the log keeps it.

    Attributes:
        event_id: unique in the log.
        user_id, item_id: opaque ids.
        kind: a number of `EventKind`.
        value: stars of a rating, hours of a watch, else 0.
        timestamp: when it happened, in Unix seconds.
        region: region code, or empty.
        request_id: the answer that showed the item, or empty.
    """

    event_id: str
    user_id: str
    item_id: str
    kind: int
    value: float
    timestamp: float
    region: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class FieldError:
    """Why a row of a request is refused: the field at fault, and what is wrong with it."""

    field: str
    reason: str


def validate_event(event: Event, now: float) -> FieldError | None:
    """The first rule an event breaks, in the order of the message's fields; None for a good one.

    Ids are 1 to 128 printable characters; kinds are those of `EventKind`; values are finite and
    within 0 to 1e6, a rating's above 0 and at most 10 stars; times lie between 1970 and one hour
    after `now`.

    Args:
        event: what a caller sent.
        now: the service's clock, in Unix seconds.
    """
    return (
        check_id("event_id", event.event_id)
        or check_id("user_id", event.user_id)
        or check_id("item_id", event.item_id)
        or check_kind("kind", event.kind)
        or _check_value(event.kind, event.value)
        or _check_timestamp(event.timestamp, now)
        or check_text("region", event.region, MAX_REGION_LENGTH)
        or check_text("request_id", event.request_id, MAX_ID_LENGTH)
    )


def check_id(field: str, value: str) -> FieldError | None:
    """Why a text is not 1 to 128 printable characters, if it is not."""
    if not value:
        return FieldError(field, "must not be empty")
    return check_text(field, value, MAX_ID_LENGTH)


def check_kind(field: str, kind: int) -> FieldError | None:
    """Why a number is not one of `EventKind`, if it is not."""
    if kind == 0:
        return FieldError(field, "must be set")
    return None if kind in _KINDS else FieldError(field, f"{kind} is not a kind of event")


def check_text(field: str, value: str, longest: int) -> FieldError | None:
    """Why a text is not at most `longest` printable characters, if it is not."""
    if len(value) > longest:
        return FieldError(field, f"has {len(value)} characters, at most {longest} are allowed")
    if not value.isprintable():
        return FieldError(field, "has a character that cannot be printed")
    return None


def _check_value(kind: int, value: float) -> FieldError | None:
    if not math.isfinite(value):
        return FieldError("value", "must be a finite number")
    if not 0 <= value <= MAX_VALUE:
        return FieldError("value", f"must be between 0 and {MAX_VALUE:,.0f}, is {value:g}")
    if kind == EventKind.RATING and not 0 < value <= MAX_STARS:
        return FieldError(
            "value", f"must be above 0 and at most {MAX_STARS:g} for a rating, is {value:g}"
        )
    return None


def _check_timestamp(timestamp: float, now: float) -> FieldError | None:
    if not math.isfinite(timestamp):
        return FieldError("timestamp", "is not a valid time")
    if timestamp < 0:
        return FieldError("timestamp", "lies before 1970")
    if timestamp > now + MAX_SECONDS_AHEAD:
        return FieldError("timestamp", f"lies {timestamp - now:.0f} seconds in the future")
    return None
