"""A database that an earlier version made gets the columns it lacks."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, create_engine, inspect

from services.common.database import create_missing, open_database
from services.common.live_items import LiveItem, LiveItemTable

NEW = ("creators", "available_from", "available_until")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def old(url: str) -> Iterator[Engine]:
    """A database with one live item, from before items had creators and times."""
    engine = open_database(url)
    LiveItemTable(engine).upsert([LiveItem("a", "A", ("Drama",), 1999)])
    with engine.begin() as db:
        for name in NEW:
            db.exec_driver_sql(f"ALTER TABLE live_items DROP COLUMN {name}")
    yield engine
    engine.dispose()


def columns(engine: Engine, table: str) -> set[str]:
    return {column["name"] for column in inspect(engine).get_columns(table)}


def test_an_old_databases_items_have_no_creators_and_are_shown_for_ever(
    old: Engine, url: str
) -> None:
    assert not columns(old, "live_items") & set(NEW)
    engine = open_database(url)
    try:
        table = LiveItemTable(engine)
        [item] = table.changes_since(0)
        assert (item.item_id, item.title, item.genres, item.year) == ("a", "A", ("Drama",), 1999)
        assert (item.creators, item.available_from, item.available_until) == ((), 0.0, 0.0)
        table.upsert([LiveItem("a", creators=("Ann",), available_until=5.0)])
        assert table.read(["a"])["a"].creators == ("Ann",)
    finally:
        engine.dispose()


def test_several_processes_may_open_an_old_database_at_once(old: Engine, url: str) -> None:
    start = threading.Barrier(4)
    failures: list[Exception] = []

    def open_it() -> None:
        start.wait()
        try:
            open_database(url).dispose()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert columns(old, "live_items") >= set(NEW)


def test_any_table_gets_its_new_columns_and_keeps_its_rows(url: str) -> None:
    engine = create_engine(url)
    before, now = MetaData(), MetaData()
    Table("things", before, Column("id", Integer, primary_key=True))
    things = Table(
        "things",
        now,
        Column("id", Integer, primary_key=True),
        Column("order", String(20), nullable=False, server_default="it's 100% so"),
        Column("note", String(20)),
    )
    others = Table("others", now, Column("id", Integer, primary_key=True))
    try:
        create_missing(engine, before)
        with engine.begin() as db:
            db.exec_driver_sql("INSERT INTO things (id) VALUES (7)")
        create_missing(engine, now)
        create_missing(engine, now)
        with engine.begin() as db:
            assert db.execute(things.select()).all() == [(7, "it's 100% so", None)]
            assert db.execute(others.select()).all() == []
    finally:
        engine.dispose()
