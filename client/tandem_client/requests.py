"""Builds request messages from plain Python values."""

import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypedDict

from google.protobuf.timestamp_pb2 import Timestamp

from tandem.recommender.v1 import recommender_pb2 as pb

Moment = datetime | float
"""A point in time: an aware datetime, or Unix seconds."""


class RecommendOptions(TypedDict, total=False):
    """The optional parts of a request for recommendations.

    Attributes:
        region, device: where the request is made; unset means unknown.
        age: of who watches, in years, at most 150; unset or 0 means unknown.
        time: the moment to recommend for; unset means now.
        recent_events: events not recorded yet, for this answer only.
        exclude_item_ids: items that must not be in the answer.
        explain: whether to return a trace of every stage.
    """

    region: str
    device: str
    age: int
    time: Moment
    recent_events: Sequence[pb.Event]
    exclude_item_ids: Sequence[str]
    explain: bool


def timestamp(moment: Moment) -> Timestamp:
    """A protobuf timestamp, to the microsecond."""
    stamp = Timestamp()
    if isinstance(moment, datetime):
        stamp.FromDatetime(moment.astimezone(UTC))
    else:
        stamp.FromMicroseconds(round(moment * 1e6))
    return stamp


def event(
    user_id: str,
    item_id: str,
    kind: pb.EventKind,
    *,
    value: float = 0.0,
    at: Moment | None = None,
    region: str = "",
    request_id: str = "",
    event_id: str = "",
) -> pb.Event:
    """An event, with a fresh id unless one is given.

    Sending the same event again is safe: the id makes it a duplicate.

    Args:
        value: stars for a rating, hours for a watch.
        at: when it happened; unset means now.
    """
    return pb.Event(
        event_id=event_id or uuid.uuid4().hex,
        user_id=user_id,
        item_id=item_id,
        kind=kind,
        value=value,
        timestamp=timestamp(time.time() if at is None else at),
        region=region,
        request_id=request_id,
    )


def user(user_id: str, *, region: str = "", friends: Sequence[str] = ()) -> pb.User:
    """A user to upsert; it replaces all that was known of the id.

    Args:
        region: home region; empty when unknown.
        friends: ids of the users whose doings this user sees.
    """
    return pb.User(user_id=user_id, region=region, friends=friends)


def item(
    item_id: str,
    *,
    title: str = "",
    genres: Sequence[str] = (),
    year: int = 0,
    adult: bool = False,
    available: bool = True,
    creators: Sequence[str] = (),
    available_from: Moment | None = None,
    available_until: Moment | None = None,
) -> pb.Item:
    """An item to upsert; it replaces all that was known of its id.

    Args:
        year: of release; 0 when unknown.
        available: whether it may be shown.
        creators: who made it.
        available_from: when it may first be shown; unset means from ever.
        available_until: from when on it may not, later than `available_from`; unset means never.
    """
    return pb.Item(
        item_id=item_id,
        title=title,
        genres=genres,
        year=year,
        adult=adult,
        available=available,
        creators=creators,
        available_from=None if available_from is None else timestamp(available_from),
        available_until=None if available_until is None else timestamp(available_until),
    )


def recommend_request(user_id: str, count: int, options: RecommendOptions) -> pb.RecommendRequest:
    context = pb.Context(
        region=options.get("region", ""),
        device=options.get("device", ""),
        age=options.get("age", 0),
    )
    if "time" in options:
        context.time.CopyFrom(timestamp(options["time"]))
    return pb.RecommendRequest(
        user_id=user_id,
        count=count,
        context=context,
        recent_events=options.get("recent_events", ()),
        exclude_item_ids=options.get("exclude_item_ids", ()),
        explain=options.get("explain", False),
    )


def replay_request(request_id: str, release_id: str, rules: str | None) -> pb.ReplaySlateRequest:
    request = pb.ReplaySlateRequest(request_id=request_id, release_id=release_id)
    if rules is not None:  # empty rules are rules, too
        request.rules = rules
    return request
