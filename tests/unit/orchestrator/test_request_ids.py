"""Ids of requests keep the rule of ids of events."""

import pytest

from services.common.errors import InvalidArgument
from services.orchestrator.requests import check_id


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "must not be empty"),
        ("u" * 129, "has 129 characters, at most 128 are allowed"),
        ("u\0", "has a character that cannot be printed"),
        ("u\n", "has a character that cannot be printed"),
    ],
)
def test_an_id_that_no_event_may_have_is_refused(value: str, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^user_id: {reason}$"):
        check_id("user_id", value)


def test_any_printable_id_is_taken_as_it_is() -> None:
    assert check_id("user_id", "ü 1") == "ü 1"
