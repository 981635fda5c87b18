"""What the table of live items promises, on SQLite and PostgreSQL alike."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from services.common.database import open_database
from services.common.errors import FailedPrecondition
from services.common.live_items import LiveItem, LiveItemTable


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = open_database(request.getfixturevalue(f"{request.param}_url"))
    yield engine
    engine.dispose()


@pytest.fixture
def table(engine: Engine) -> LiveItemTable:
    return LiveItemTable(engine)


def item(item_id: str, title: str = "") -> LiveItem:
    return LiveItem(
        item_id,
        title,
        ("Drama", "War"),
        1999,
        adult=True,
        available=False,
        creators=("Ann", "Bob"),
        available_from=1.7e9,
        available_until=1.8e9 + 0.25,
    )


def test_an_item_is_read_back_as_it_was_stored(table: LiveItemTable) -> None:
    assert table.upsert([item("a", "A")]) == 1
    [read] = table.changes_since(0)
    assert read == replace(item("a", "A"), seq=0, revision=1, created_at=read.created_at)
    assert read.created_at > 1.6e9
    assert table.read(["a", "b"]) == {"a": read}


def test_a_later_upsert_replaces_creators_and_times(table: LiveItemTable) -> None:
    table.upsert([item("a")])
    table.upsert([LiveItem("a")])
    [read] = table.changes_since(0)
    assert (read.creators, read.available_from, read.available_until) == ((), 0.0, 0.0)


def test_numbers_are_given_once_and_kept_while_revisions_grow(table: LiveItemTable) -> None:
    table.upsert([item("a"), item("b")])
    table.upsert([item("c"), item("a", "later")])
    rows = {row.item_id: row for row in table.changes_since(0)}
    assert {name: row.seq for name, row in rows.items()} == {"a": 0, "b": 1, "c": 2}
    assert {name: row.revision for name, row in rows.items()} == {"a": 2, "b": 1, "c": 2}
    assert rows["a"].title == "later"
    assert rows["a"].created_at == rows["b"].created_at < rows["c"].created_at
    assert [row.item_id for row in table.changes_since(1)] == ["a", "c"]
    assert table.changes_since(2) == []


def test_of_an_id_that_comes_twice_the_last_counts(table: LiveItemTable) -> None:
    table.upsert([item("a", "first"), item("b"), item("a", "last")])
    assert [(row.seq, row.title) for row in table.changes_since(0)] == [(0, "last"), (1, "")]


def test_a_full_table_takes_changes_and_refuses_new_items_whole(engine: Engine) -> None:
    small = LiveItemTable(engine, most=3)
    small.upsert([item("a"), item("b")])
    with pytest.raises(FailedPrecondition, match="2 of at most 3"):
        small.upsert([item("a", "changed"), item("c"), item("d")])
    assert [row.title for row in small.changes_since(0)] == ["", ""]
    assert small.upsert([item("a", "changed"), item("c")]) == 2
    assert [row.seq for row in small.changes_since(0)] == [0, 1, 2]


def test_polls_by_revision_miss_nothing_of_concurrent_writers(table: LiveItemTable) -> None:
    def write(writer: int) -> None:
        for n in range(15):
            names = [f"own-{writer}-{n}", f"shared-{n}"]
            table.upsert([item(name, f"{writer}-{n}") for name in sorted(names, reverse=n % 2 > 0)])

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(5)]
    for thread in threads:
        thread.start()
    polled: dict[int, LiveItem] = {}
    revision = 0
    while any(thread.is_alive() for thread in threads):
        changes = table.changes_since(revision)
        polled |= {row.seq: row for row in changes}
        revision = max([revision, *(row.revision for row in changes)])
        assert sorted(polled) == list(range(len(polled)))
    for thread in threads:
        thread.join()
    polled |= {row.seq: row for row in table.changes_since(revision)}
    stored = table.changes_since(0)
    assert [polled[row.seq] for row in stored] == stored
    assert len({row.item_id for row in stored}) == len(stored) == 5 * 15 + 15
    assert max(row.revision for row in stored) == 5 * 15
