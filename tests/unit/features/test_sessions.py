"""How a session is made from a history, and that the online store knows all of it."""

from dataclasses import fields

import pytest

from models.history import HISTORY_LENGTH
from services.features.event_log import History
from services.features.events import Event
from services.features.feast_rows import Row, feature_names
from services.features.release_rows import ItemMetadata, RowCounts, UserProfile
from services.features.repo import definitions
from services.features.sessions import SESSION_LENGTH, Session


def event(number: int, region: str = "") -> Event:
    return Event(f"e{number}", "u", f"i{number}", 4, number / 2, float(number), region)


def test_a_session_holds_the_events_as_parallel_sequences_in_their_order() -> None:
    session = Session.of(History([event(1), event(2, "de")], version=7))
    assert session == Session(["i1", "i2"], [4, 4], [1.0, 2.0], [0.5, 1.0], "de", 7)


def test_the_region_is_that_of_the_latest_event_that_had_one() -> None:
    history = History([event(1, "de"), event(2, "fr"), event(3)], version=1)
    assert Session.of(history).region == "fr"


def test_a_session_keeps_the_most_recent_events() -> None:
    session = Session.of(History([event(n) for n in range(SESSION_LENGTH + 5)], version=1))
    assert session.item_ids[0] == "i5"
    assert len(session.item_ids) == SESSION_LENGTH


def test_a_user_without_events_has_an_empty_session_of_version_0() -> None:
    assert Session.of(History([], version=0)) == Session([], [], [], [], "", 0)


def test_a_session_is_long_enough_for_the_models() -> None:
    assert SESSION_LENGTH >= HISTORY_LENGTH


@pytest.mark.parametrize(
    ("row_type", "view", "key"),
    [
        (Session, definitions.user_session, set()),
        (UserProfile, definitions.user_profile, {"user_id"}),
        (ItemMetadata, definitions.item_metadata, {"item_id"}),
        (RowCounts, definitions.release_rows, set()),
    ],
)
def test_the_online_store_has_a_feature_for_every_field(
    row_type: type[Row], view: object, key: set[str]
) -> None:
    assert {field.name for field in fields(row_type)} - key == set(feature_names(view))
