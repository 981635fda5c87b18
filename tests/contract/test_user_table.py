"""What the table of upserted users promises, on SQLite and PostgreSQL alike."""

import pytest
from sqlalchemy import Engine

from services.features.event_log import EventLog
from services.features.user_table import Standing, User, UserTable, erase_user
from tests.contract.databases import engine

__all__ = ["engine"]


@pytest.fixture
def table(engine: Engine) -> UserTable:
    return UserTable(engine)


def upserted(engine: Engine, user_id: str = "u") -> User | None:
    return EventLog(engine).standing(user_id).user


def test_an_upserted_user_is_read_back(engine: Engine, table: UserTable) -> None:
    table.upsert([User("u", "de", ("a", "ü ☃"))])
    assert EventLog(engine).standing("u") == Standing(0, User("u", "de", ("a", "ü ☃")), False)
    assert EventLog(engine).standing("nobody") == Standing(0, None, False)


def test_an_upsert_replaces_all_that_was_known(engine: Engine, table: UserTable) -> None:
    table.upsert([User("u", "de", ("a", "b")), User("v", "fr")])
    table.upsert([User("u")])
    assert upserted(engine) == User("u", "", ())
    assert upserted(engine, "v") == User("v", "fr", ())


def test_of_one_user_twice_in_a_batch_the_last_one_stays(engine: Engine, table: UserTable) -> None:
    table.upsert([User("u", "de"), User("v"), User("u", "fr")])
    assert upserted(engine) == User("u", "fr", ())


def test_all_users_are_one_frame_by_id(table: UserTable) -> None:
    assert table.read_frame().columns.tolist() == ["user_id", "region", "friends"]
    table.upsert([User("v", "fr"), User("u", "de", ("v",))])
    assert table.read_frame().values.tolist() == [["u", "de", ("v",)], ["v", "fr", ()]]


def test_an_erased_user_is_gone_and_the_others_stay(engine: Engine, table: UserTable) -> None:
    table.upsert([User("u"), User("v")])
    with engine.begin() as db:
        assert erase_user(db, "u") == 1
        assert erase_user(db, "u") == 0
    assert (upserted(engine), upserted(engine, "v")) == (None, User("v", "", ()))
