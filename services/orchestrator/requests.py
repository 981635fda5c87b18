"""Decodes and checks requests. Every refusal names the field."""

import math
import time
from collections.abc import Sequence

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from models.events import EventKind
from services.common.deadlines import Budget
from services.common.errors import InvalidArgument
from services.common.timestamps import unix_seconds
from services.features import events
from services.features.events import MAX_SECONDS_AHEAD, Event, validate_event
from services.orchestrator.candidates import Query, RecentEvent
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.rules_yaml import NO_RULES, ActiveRules
from tandem.recommender.v1 import recommender_pb2

MAX_COUNT = 500
MAX_TEXT_LENGTH = 64
MAX_EXCLUDED = 10_000
MAX_RECENT_EVENTS = 1_000
MAX_AGE = 150


def check_id(field: str, value: str) -> str:
    fault = events.check_id(field, value)
    if fault is not None:
        raise InvalidArgument(fault.field, fault.reason)
    return value


def check_count(value: int) -> int:
    if not 1 <= value <= MAX_COUNT:
        raise InvalidArgument("count", f"must be 1 to {MAX_COUNT}, is {value}")
    return value


def decode_recommend(
    request: recommender_pb2.RecommendRequest,
    request_id: str,
    catalogue: Catalogue,
    budget: Budget,
    active: ActiveRules = NO_RULES,
) -> Query:
    """The query of a request, pinned to a catalogue and to rules.

    Raises:
        InvalidArgument: a field is out of bounds.
    """
    context = request.context
    now = time.time()
    as_of = _seconds("context.time", context.time, now) if context.HasField("time") else 0.0
    excluded = _excluded(request.exclude_item_ids)
    return Query(
        request_id=request_id,
        user_id=check_id("user_id", request.user_id),
        count=check_count(request.count),
        time=as_of or now,
        as_of=as_of,
        catalogue=catalogue,
        budget=budget,
        region=_check_text("context.region", context.region),
        device=_check_text("context.device", context.device),
        recent_events=_recent_events(request.recent_events, request.user_id, as_of or now),
        explain=request.explain,
        excluded_rows=np.unique(catalogue.items.rows(excluded)),
        active=active,
        age=_check_age(context.age),
    )


def _excluded(item_ids: Sequence[str]) -> list[str]:
    if len(item_ids) > MAX_EXCLUDED:
        raise InvalidArgument("exclude_item_ids", f"holds {len(item_ids)}, at most {MAX_EXCLUDED}")
    return [check_id(f"exclude_item_ids[{i}]", item_id) for i, item_id in enumerate(item_ids)]


def _recent_events(
    claimed: Sequence[recommender_pb2.Event], user_id: str, now: float
) -> tuple[RecentEvent, ...]:
    if len(claimed) > MAX_RECENT_EVENTS:
        raise InvalidArgument("recent_events", f"holds {len(claimed)}, at most {MAX_RECENT_EVENTS}")
    return tuple(_recent_event(i, event, user_id, now) for i, event in enumerate(claimed))


def _recent_event(
    index: int, event: recommender_pb2.Event, user_id: str, now: float
) -> RecentEvent:
    """Checks an event by the rules of recorded ones; ids that recording needs may be missing."""
    timestamp = unix_seconds(event.timestamp) if event.HasField("timestamp") else now
    claimed = Event(
        event_id=event.event_id or "unrecorded",
        user_id=event.user_id or user_id,
        item_id=event.item_id,
        kind=event.kind,
        value=event.value,
        timestamp=timestamp,
        region=event.region,
        request_id=event.request_id,
    )
    fault = validate_event(claimed, time.time())
    if fault is not None:
        raise InvalidArgument(f"recent_events[{index}].{fault.field}", fault.reason)
    return RecentEvent(event.item_id, EventKind(event.kind), event.value, timestamp)


def _seconds(field: str, stamp: Timestamp, now: float) -> float:
    seconds = unix_seconds(stamp)
    if math.isnan(seconds):
        raise InvalidArgument(field, "is not a valid time")
    if seconds <= 0:
        raise InvalidArgument(field, "must be later than 1970-01-01")
    if seconds > now + MAX_SECONDS_AHEAD:
        raise InvalidArgument(field, f"lies more than {MAX_SECONDS_AHEAD:.0f} s in the future")
    return seconds


def _check_age(age: int) -> int:
    if age > MAX_AGE:
        raise InvalidArgument("context.age", f"is {age}, at most {MAX_AGE}")
    return age


def _check_text(field: str, value: str) -> str:
    if len(value) > MAX_TEXT_LENGTH:
        raise InvalidArgument(field, f"is {len(value)} characters long, at most {MAX_TEXT_LENGTH}")
    return value
