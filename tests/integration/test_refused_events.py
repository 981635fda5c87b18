"""A batch with one bad event, of each kind of badness, over gRPC: the others are stored."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from tandem.recommender.v1 import recommender_pb2 as pb
from tests.contract.feature_fixtures import MakeSettings
from tests.integration.test_features_service import (
    SECONDS,
    Stub,
    event,
    events,
    serving,
    user_features,
)


class Bad(NamedTuple):
    """What is wrong with an event, where, and what is said of it."""

    field: str
    reason: str
    change: Callable[[pb.Event], object]


def _set(field: str, value: object) -> Callable[[pb.Event], object]:
    return lambda sent: setattr(sent, field, value)


def _at(seconds: int, nanos: int = 0) -> Callable[[pb.Event], object]:
    return lambda sent: sent.timestamp.CopyFrom(Timestamp(seconds=seconds, nanos=nanos))


def _tomorrow(sent: pb.Event) -> None:
    sent.timestamp.FromSeconds(int(time.time()) + 86_400)


LONG = "has 129 characters, at most 128 are allowed"
UNPRINTABLE = "has a character that cannot be printed"

BAD = {
    "an empty event id": Bad("event_id", "must not be empty", _set("event_id", "")),
    "a long event id": Bad("event_id", LONG, _set("event_id", "e" * 129)),
    "an empty user id": Bad("user_id", "must not be empty", _set("user_id", "")),
    "a long user id": Bad("user_id", LONG, _set("user_id", "u" * 129)),
    "a null character": Bad("user_id", UNPRINTABLE, _set("user_id", "u\0")),
    "an empty item id": Bad("item_id", "must not be empty", _set("item_id", "")),
    "a long item id": Bad("item_id", LONG, _set("item_id", "ü" * 129)),
    "no kind": Bad("kind", "must be set", _set("kind", 0)),
    "an unknown kind": Bad("kind", "99 is not a kind of event", _set("kind", 99)),
    "a value that is no number": Bad("value", "must be a finite number", _set("value", math.nan)),
    "an infinite value": Bad("value", "must be a finite number", _set("value", -math.inf)),
    "a value below zero": Bad("value", "must be between", _set("value", -1.0)),
    "a time far ahead": Bad("timestamp", "seconds in the future", _tomorrow),
    "a time beyond all calendars": Bad("timestamp", "seconds in the future", _at(2**62)),
    "a time before 1970": Bad("timestamp", "lies before 1970", _at(-1)),
    "too many nanoseconds": Bad("timestamp", "is not a valid time", _at(1_000, 2_000_000_000)),
    "nanoseconds below zero": Bad("timestamp", "is not a valid time", _at(1_000, -1)),
    "a long region": Bad("region", "has 65 characters, at most 64", _set("region", "r" * 65)),
    "a region with a tab": Bad("region", UNPRINTABLE, _set("region", "r\t")),
    "a long request id": Bad("request_id", LONG, _set("request_id", "r" * 129)),
}


async def test_a_bad_event_is_named_and_its_neighbours_are_stored(
    make_settings: MakeSettings,
) -> None:
    async with serving(make_settings()) as channel:
        for user, (name, bad) in enumerate(BAD.items()):
            good = [event(f"{name}, {n}", user=f"u{user}") for n in range(2)]
            broken = event(f"{name}, broken", user=f"u{user}")
            bad.change(broken)
            request = events(good[0], broken, good[1])
            answer = await Stub(channel).RecordEvents(request, timeout=SECONDS)
            assert (answer.accepted, answer.duplicates) == (2, 0), name
            [error] = answer.errors
            assert (error.index, error.field) == (1, bad.field), name
            assert bad.reason in error.reason, name
            stored = (await user_features(channel, user=f"u{user}")).session.item_ids
            assert list(stored) == [each.item_id for each in good], name
