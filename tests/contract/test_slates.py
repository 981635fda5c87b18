"""What the slate log promises, on SQLite and PostgreSQL alike."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from services.common.database import open_database
from services.common.slates import ServedSlate, ShownItem, SlateLog


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def slates(request: pytest.FixtureRequest) -> Iterator[SlateLog]:
    engine = open_database(request.getfixturevalue(f"{request.param}_url"))
    yield SlateLog(engine)
    engine.dispose()


def slate(request_id: str, user: str = "u", at: float = 100.0) -> ServedSlate:
    items = (
        ShownItem("i1", 0, 0.75, 1.0, ("tower_ann", "ease")),
        ShownItem("i2", 1, 0.5, 0.0125, ("new_items", "exploration")),
    )
    return ServedSlate(request_id, user, "r", at, "FULL", items)


def test_a_slate_is_read_back_as_it_was_written(slates: SlateLog) -> None:
    slates.write([slate("a"), replace(slate("b"), items=())])
    assert slates.read("a") == slate("a")
    assert slates.read("b") == replace(slate("b"), items=())
    assert slates.read("c") is None


def test_a_request_is_logged_once(slates: SlateLog) -> None:
    slates.write([slate("a")])
    slates.write([slate("a", user="other"), slate("b")])
    assert slates.read("a") == slate("a")
    assert slates.read("b") == slate("b")


def test_erasing_a_user_leaves_the_others(slates: SlateLog) -> None:
    slates.write([slate("a"), slate("b"), slate("c", user="other")])
    assert slates.erase("u") == 2
    assert slates.erase("u") == 0
    assert (slates.read("a"), slates.read("c")) == (None, slate("c", user="other"))


def test_erasing_up_to_a_moment_leaves_what_was_served_later(slates: SlateLog) -> None:
    slates.write([slate("before", at=99.0), slate("at", at=100.0), slate("after", at=101.0)])
    assert slates.erase("u", until=100.0) == 2
    assert (slates.read("at"), slates.read("after")) == (None, slate("after", at=101.0))


def test_trimming_takes_what_was_served_before(slates: SlateLog) -> None:
    slates.write([slate(f"at-{at}", at=float(at)) for at in (1, 2, 3)])
    assert slates.trim(before=2.0, details_before=2.0) == 1
    assert slates.read("at-1") is None
    assert slates.read("at-2") is not None


def test_details_are_kept_beside_slates_for_a_shorter_time(slates: SlateLog) -> None:
    whole = [replace(slate(f"at-{at}", at=float(at)), detail=b"\0d") for at in (1, 2, 3)]
    slates.write([*whole, slate("bare", at=4.0)])
    assert slates.read("at-1") == whole[0]
    assert [each.request_id for each in slates.last(2)] == ["at-3", "at-2"]
    assert slates.trim(before=0.0, details_before=3.0) == 0
    assert slates.read("at-2") == replace(whole[1], detail=None)
    assert slates.last(10) == [whole[2]]
    slates.erase("u")
    assert slates.last(10) == []


def test_what_a_user_was_shown_is_read_by_request(slates: SlateLog) -> None:
    slates.write([slate("a", at=1.0), slate("b", at=2.0), slate("c", user="other", at=2.0)])
    assert slates.shown_to("u", since=2.0) == {"b": [i.item_id for i in slate("b").items]}


def test_writing_nothing_is_nothing(slates: SlateLog) -> None:
    slates.write([])
    assert slates.trim(before=1e12, details_before=1e12) == 0
