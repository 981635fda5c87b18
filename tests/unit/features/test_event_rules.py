"""Which events are refused, and what is said of them."""

import math
from dataclasses import replace

import pytest

from models.events import EventKind
from services.features.events import Event, validate_event

NOW = 1_700_000_000.0
GOOD = Event("e", "u", "i", EventKind.LIKE, 0.0, NOW, "de", "r")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"region": "", "request_id": ""},
        {"kind": EventKind.RATING, "value": 0.5},
        {"kind": EventKind.RATING, "value": 10.0},
        {"kind": EventKind.WATCH, "value": 0.0},
        {"kind": EventKind.WATCH, "value": 1e6},
        {"timestamp": 0.0},
        {"timestamp": NOW + 3_599},
        {"user_id": "k" * 128, "item_id": "ü ☃"},
    ],
)
def test_a_good_event_breaks_no_rule(changes: dict[str, object]) -> None:
    assert validate_event(replace(GOOD, **changes), NOW) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_kind_of_event_is_known(kind: EventKind) -> None:
    assert validate_event(replace(GOOD, kind=kind.value, value=1.0), NOW) is None


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("event_id", "", "must not be empty"),
        ("user_id", "", "must not be empty"),
        ("item_id", "", "must not be empty"),
        ("event_id", "k" * 129, "has 129 characters, at most 128 are allowed"),
        ("user_id", "a\x00b", "has a character that cannot be printed"),
        ("item_id", "a\nb", "has a character that cannot be printed"),
        ("kind", 0, "must be set"),
        ("kind", 99, "99 is not a kind of event"),
        ("kind", -1, "-1 is not a kind of event"),
        ("value", math.nan, "must be a finite number"),
        ("value", math.inf, "must be a finite number"),
        ("value", -0.5, "must be between 0 and 1,000,000, is -0.5"),
        ("value", 2e6, "must be between 0 and 1,000,000, is 2e+06"),
        ("timestamp", math.nan, "is not a valid time"),
        ("timestamp", -1.0, "lies before 1970"),
        ("timestamp", NOW + 3_700, "lies 3700 seconds in the future"),
        ("region", "r" * 65, "has 65 characters, at most 64 are allowed"),
        ("request_id", "r" * 129, "has 129 characters, at most 128 are allowed"),
    ],
)
def test_a_bad_field_is_named_with_its_reason(field: str, value: object, reason: str) -> None:
    error = validate_event(replace(GOOD, **{field: value}), NOW)  # type: ignore[arg-type]
    assert error is not None
    assert (error.field, error.reason) == (field, reason)


@pytest.mark.parametrize("stars", [0.0, 10.5])
def test_a_rating_needs_stars_above_0_and_at_most_10(stars: float) -> None:
    error = validate_event(replace(GOOD, kind=EventKind.RATING.value, value=stars), NOW)
    assert error is not None
    assert error.field == "value"


def test_of_several_bad_fields_the_first_of_the_message_is_named() -> None:
    error = validate_event(Event("e", "", "", 0, math.nan, -1.0), NOW)
    assert error is not None
    assert error.field == "user_id"
