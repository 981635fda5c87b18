"""How a session is made from a history, and that the online store knows all of it."""

from dataclasses import fields

import pytest

from models.history import HISTORY_LENGTH
from models.session import SESSION_LENGTH
from services.features.event_log import History
from services.features.events import Event
from services.features.feast_rows import Row, feature_names
from services.features.release_rows import ItemMetadata, RowCounts, UserProfile
from services.features.repo import definitions
from services.features.sessions import Session


def event(number: int, region: str = "") -> Event:
    return Event(f"e{number}", "u", f"i{number}", 4, number / 2, float(number), region)


def test_a_session_holds_the_events_as_parallel_sequences_in_their_order() -> None:
    session = Session.of(History([event(1), event(2, "de")], version=7))
    assert (session.item_ids, session.kinds) == (["i1", "i2"], [4, 4])
    assert (session.timestamps, session.values) == ([1.0, 2.0], [0.5, 1.0])
    assert (session.region, session.version) == ("de", 7)


def test_a_session_holds_the_numbers_as_of_its_newest_event() -> None:
    watched = [Event(f"w{n}", "u", f"i{n}", 9, 1.5, 1e9 + 400.0 * n) for n in range(3)]
    session = Session.of(History([event(1), *watched], version=1))
    assert (session.counts_minutes[8], session.counts_hours[8]) == (2, 3)
    assert (session.counts_days, session.hours_watched) == (session.counts_hours, [3.0, 4.5, 4.5])
    assert session.session_start == 1e9
    assert session.taste_item_ids == ["i2", "i1", "i0"]
    assert sum(session.taste_weights) == pytest.approx(1.0)


def test_many_sessions_at_once_are_those_made_one_by_one() -> None:
    histories = [History([event(n) for n in range(length)], 3) for length in (0, 1, 40, 0, 130)]
    assert Session.of_all(histories) == [Session.of(history) for history in histories]


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
