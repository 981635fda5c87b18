"""Which items are refused, and what is said of them."""

import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from services.common.database import open_database
from services.common.errors import InvalidArgument
from services.common.live_items import LiveItem, LiveItemTable
from services.features.async_log import AsyncEventLog
from services.features.codec import decode_item
from services.features.event_log import EventLog
from services.features.events import FieldError
from services.features.items import MAX_ITEMS, ItemUpserts, validate
from services.features.release_rows import ItemMetadata
from tandem.recommender.v1 import recommender_pb2
from tandem_client import item

GOOD = LiveItem("i", "Title", ("Drama",), 1999)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'tandem.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def table(engine: Engine) -> LiveItemTable:
    return LiveItemTable(engine)


@pytest.fixture
async def upserts(engine: Engine, table: LiveItemTable) -> AsyncIterator[ItemUpserts]:
    event_log = AsyncEventLog(EventLog(engine), 0)
    yield ItemUpserts(event_log, table)
    await event_log.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "", "genres": (), "year": 0},
        {"title": "t" * 1_000, "year": 9_999, "item_id": "k" * 128},
        {"genres": tuple(f"{n:0128}" for n in range(64))},
        {"creators": tuple(f"{n:0128}" for n in range(64))},
        {"available_from": 1.7e9},
        {"available_until": 1.7e9},
        {"available_from": 1.7e9, "available_until": 1.7e9 + 0.5},
    ],
)
def test_a_good_item_breaks_no_rule(changes: dict[str, object]) -> None:
    assert validate(replace(GOOD, **changes)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("item_id", "", "must not be empty"),
        ("item_id", "a\nb", "has a character that cannot be printed"),
        ("item_id", "k" * 129, "has 129 characters, at most 128 are allowed"),
        ("title", "t" * 1_001, "has 1001 characters, at most 1000 are allowed"),
        ("title", "a\0b", "has a null character"),
        ("genres", tuple(map(str, range(65))), "holds 65, at most 64 are allowed"),
        ("genres", ("g" * 129,), "has 129 characters, at most 128 are allowed"),
        ("genres", ("Drama", ""), "holds an empty one"),
        ("year", 10_000, "must be between 0 and 9999, is 10000"),
        ("creators", tuple(map(str, range(65))), "holds 65, at most 64 are allowed"),
        ("creators", ("c" * 129,), "has 129 characters, at most 128 are allowed"),
        ("creators", ("Ann", ""), "holds an empty one"),
        ("creators", ("a\0b",), "has a null character"),
        ("available_from", math.nan, "is not a valid time"),
        ("available_from", -1.0, "lies before 1970"),
        ("available_until", math.nan, "is not a valid time"),
        ("available_until", 1.7e12, "is not a valid time"),
        ("available_until", -1.0, "lies before 1970"),
    ],
)
def test_a_broken_rule_names_its_field_and_reason(field: str, value: object, reason: str) -> None:
    broken = replace(GOOD, **{field: value})  # type: ignore[arg-type]
    assert validate(broken) == FieldError(field, reason)


@pytest.mark.parametrize("until", [1.6e9, 1.7e9])
def test_an_item_that_ends_before_it_begins_is_refused(until: float) -> None:
    broken = replace(GOOD, available_from=1.7e9, available_until=until)
    reason = "is not later than available_from"
    assert validate(broken) == FieldError("available_until", reason)


async def test_good_items_are_stored_and_bad_ones_named(
    upserts: ItemUpserts, table: LiveItemTable
) -> None:
    bad = replace(GOOD, item_id="", title="t" * 2_000)
    items = [GOOD, bad, replace(GOOD, item_id="j"), replace(GOOD, year=10_000)]
    errors = await upserts.upsert(items)
    assert [(index, fault.field) for index, fault in errors] == [(1, "item_id"), (3, "year")]
    assert [row.item_id for row in table.changes_since(0)] == ["i", "j"]


@pytest.mark.parametrize(
    ("items", "refusal"),
    [
        ([], "items: 1 to 1,000 are allowed, not 0"),
        ([GOOD] * (MAX_ITEMS + 1), "items: 1 to 1,000 are allowed, not 1,001"),
        ([replace(GOOD, item_id="")] * 2, r"items\[0\].item_id: must not be empty"),
    ],
)
async def test_a_request_without_a_valid_item_is_refused(
    upserts: ItemUpserts, table: LiveItemTable, items: list[LiveItem], refusal: str
) -> None:
    with pytest.raises(InvalidArgument, match=refusal):
        await upserts.upsert(items)
    assert table.changes_since(0) == []


def test_an_item_that_does_not_say_so_is_available_and_names_count_once() -> None:
    sent = recommender_pb2.Item(item_id="i", genres=["b", "a", "b"], creators=["d", "c", "d"])
    decoded = decode_item(sent)
    assert decoded == LiveItem("i", genres=("b", "a"), available=True, creators=("d", "c"))
    assert (decoded.available_from, decoded.available_until, decoded.end) == (0.0, 0.0, math.inf)
    sent.available = False
    assert not decode_item(sent).available


def test_times_are_taken_as_they_were_sent() -> None:
    sent = item("i", available_from=1.7e9, available_until=1.7e9 + 0.5)
    decoded = decode_item(sent)
    assert (decoded.available_from, decoded.available_until) == (1.7e9, 1.7e9 + 0.5)
    assert decoded.end == 1.7e9 + 0.5
    sent.available_until.nanos = -1
    assert validate(decode_item(sent)) == FieldError("available_until", "is not a valid time")


async def test_what_was_upserted_goes_over_what_the_release_says(upserts: ItemUpserts) -> None:
    await upserts.upsert([replace(GOOD, title="new"), replace(GOOD, item_id="only-live")])
    stored = [ItemMetadata("x", "X"), ItemMetadata("i", "old", vector=(1.0, 2.0))]
    found = await upserts.laid_over(["only-live", "nobody", "x", "i"], stored)
    assert [(item.item_id, item.title, item.vector) for item in found] == [
        ("only-live", "Title", ()),
        ("x", "X", ()),
        ("i", "new", (1.0, 2.0)),
    ]
