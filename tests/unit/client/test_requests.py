from datetime import UTC, datetime

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import EventKind, event, item
from tandem_client.requests import recommend_request


def test_events_get_fresh_ids_unless_one_is_given() -> None:
    first, second = [event("u", "i", EventKind.EVENT_KIND_CLICK) for _ in range(2)]
    assert first.event_id and first.event_id != second.event_id
    assert event("u", "i", EventKind.EVENT_KIND_CLICK, event_id="mine").event_id == "mine"


def test_moments_may_be_datetimes_or_seconds() -> None:
    moment = datetime(2024, 5, 1, 12, tzinfo=UTC)
    stamps = [
        event("u", "i", EventKind.EVENT_KIND_VIEW, at=at).timestamp
        for at in (moment, moment.timestamp())
    ]
    assert stamps[0] == stamps[1]


def test_a_request_without_a_time_asks_about_now() -> None:
    request = recommend_request("u", 5, {"region": "no", "explain": True})
    assert not request.context.HasField("time")
    assert (request.count, request.context.region, request.explain) == (5, "no", True)
    assert request.context.age == 0
    assert recommend_request("u", 5, {"age": 12}).context.age == 12
    assert recommend_request("u", 5, {"time": 3.5}).context.time.nanos == 500_000_000


def test_the_client_speaks_the_public_kinds() -> None:
    assert EventKind.EVENT_KIND_CLICK == pb.EVENT_KIND_CLICK


def test_an_item_may_be_shown_for_ever_unless_it_says_otherwise() -> None:
    for_ever = item("i")
    assert not for_ever.HasField("available_from") and not for_ever.HasField("available_until")
    until = datetime(2024, 5, 1, 12, tzinfo=UTC)
    shown = item("i", creators=["Ann"], available_from=3.5, available_until=until)
    assert list(shown.creators) == ["Ann"]
    assert (shown.available_from.seconds, shown.available_from.nanos) == (3, 500_000_000)
    assert shown.available_until.seconds == until.timestamp()
