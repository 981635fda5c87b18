"""Opens the database: SQLite in WAL mode on one machine, PostgreSQL on many. One code path."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.schema import CreateColumn

metadata = MetaData()
"""All tables of the database register here."""

_ATTEMPTS = 5


def open_database(url: str) -> Engine:
    """Opens a database and creates the tables and columns it lacks.

    Args:
        url: an SQLAlchemy URL, `sqlite:////path/to/file.db` or `postgresql+psycopg://...`.

    Raises:
        sqlalchemy.exc.OperationalError: the database cannot be opened.
    """
    # Imported for their tables. Here, because the modules import this one.
    from services.common import (  # noqa: F401
        collected,
        erased,
        leases,
        live_items,
        releases,
        skew_runs,
        slates,
        stored,
    )
    from services.features import event_log, trend_snapshots, user_table  # noqa: F401

    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": 30})
        event.listen(engine, "connect", _configure_sqlite)
    else:
        engine = create_engine(url, pool_pre_ping=True)
    create_missing(engine, metadata)
    return engine


@contextmanager
def overwriting(db: Connection) -> Iterator[None]:
    """A transaction in which SQLite overwrites what is deleted, rather than only unlinking it."""
    if db.dialect.name == "sqlite":
        db.exec_driver_sql("PRAGMA secure_delete = ON")
        db.commit()
    try:
        with db.begin():
            yield
    finally:
        if db.dialect.name == "sqlite":
            db.exec_driver_sql("PRAGMA secure_delete = OFF")
            db.commit()


def insert_of(database: Engine | Connection) -> Any:
    """The `insert` of a database's dialect, which knows what to do about rows that are there."""
    return postgresql.insert if database.dialect.name == "postgresql" else sqlite.insert


def create_missing(engine: Engine, tables: MetaData) -> None:
    """Creates tables that are missing, and columns that a table has got since it was created.

    A new column needs a server default, which is what rows that are there get, or may be null. Its
    indexes and constraints are not made.

    Raises:
        sqlalchemy.exc.OperationalError: the database cannot be opened.
    """
    for _ in range(_ATTEMPTS):
        try:
            tables.create_all(engine)
            return _add_columns(engine, tables)
        except (IntegrityError, OperationalError, ProgrammingError) as error:
            failure = error  # another process that started at the same time may have been faster
            time.sleep(0.2)
    raise failure


def _add_columns(engine: Engine, tables: MetaData) -> None:
    with engine.begin() as db:
        held = inspect(db).get_multi_columns(filter_names=list(tables.tables))
        names = {table: {column["name"] for column in held[None, table]} for _, table in held}
        for table in tables.sorted_tables:
            for column in table.columns:
                if column.name not in names[table.name]:
                    added = CreateColumn(column).compile(dialect=db.dialect)
                    db.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {added}")


def _configure_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # a commit survives power loss, not only kill -9
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.close()
