"""A replica's copy of the live items follows the table, through outages too."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from services.common.database import open_database
from services.common.live_items import LiveItem, LiveItemTable
from services.common.live_view import LiveItems


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'tandem.db'}")
    yield engine
    engine.dispose()


def ids(items: LiveItems) -> list[str]:
    return [item.item_id for item in items.current()]


def test_a_refresh_sees_all_that_was_committed_by_number(engine: Engine) -> None:
    table, items = LiveItemTable(engine), LiveItems(LiveItemTable(engine))
    assert items.refresh() and items.current() == ()
    table.upsert([LiveItem("a"), LiveItem("b")])
    assert items.refresh() and ids(items) == ["a", "b"]
    table.upsert([LiveItem("a", "changed"), LiveItem("c")])
    before = items.current()
    assert items.refresh() and ids(items) == ["a", "b", "c"]
    assert items.current()[0].title == "changed" and before[0].title == ""
    assert all(item.seq == place for place, item in enumerate(items.current()))


def test_without_changes_the_copy_stays_the_same_object(engine: Engine) -> None:
    table, items = LiveItemTable(engine), LiveItems(LiveItemTable(engine))
    table.upsert([LiveItem("a")])
    items.refresh()
    before = items.current()
    items.refresh()
    assert items.current() is before


def test_the_table_is_followed_through_an_outage(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    table, items = LiveItemTable(engine), LiveItems(LiveItemTable(engine), seconds=0.02)
    table.upsert([LiveItem("a")])
    items.start()
    assert ids(items) == ["a"]
    rename(engine, "live_items", "gone")
    assert not items.refresh()
    assert ids(items) == ["a"]
    assert "live items not read" in caplog.text
    rename(engine, "gone", "live_items")
    table.upsert([LiveItem("b")])
    ends = time.monotonic() + 5
    while ids(items) != ["a", "b"] and time.monotonic() < ends:
        time.sleep(0.01)
    items.close()
    assert ids(items) == ["a", "b"]
    table.upsert([LiveItem("c")])
    time.sleep(0.1)
    assert ids(items) == ["a", "b"]  # closed


def rename(engine: Engine, old: str, new: str) -> None:
    with engine.begin() as db:
        db.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
