"""Databases, online stores and releases that tests of the features service run on.

A conftest imports what its tests use. Servers are real and end with the test session.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import psycopg
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from models import release as release_files
from models.release import Release, ReleaseWriter
from services.common.ports import free_ports
from services.features.settings import FeaturesSettings

_POSTGRES_FOLDERS = [*Path("/usr/lib/postgresql").glob("*/bin"), Path("/usr/local/pgsql/bin")]


def redis_program() -> str:
    """The server's program; skips the test without one."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server program on the PATH")
    return program


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a running Redis."""
    program = redis_program()
    port = free_ports(1)[0]
    folder = tmp_path_factory.mktemp("redis")
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([program, *arguments], stdout=log, stderr=log) as server,
    ):
        try:
            _wait_for_redis(port)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def _wait_for_redis(port: int) -> None:
    with Redis(port=port) as client:
        for _ in range(100):
            try:
                client.ping()
                return
            except RedisConnectionError:
                time.sleep(0.05)
    pytest.fail("redis-server did not start within 5 s")


@pytest.fixture
def empty_redis(redis_address: str) -> str:
    """`host:port` of a Redis that holds nothing."""
    host, _, port = redis_address.partition(":")
    with Redis(host=host, port=int(port)) as client:
        client.flushall()
    return redis_address


def postgres_programs() -> tuple[str, str]:
    """Paths of `initdb` and `postgres`; skips the test without them."""
    path = os.pathsep.join([os.environ["PATH"], *map(str, _POSTGRES_FOLDERS)])
    initdb, postgres = shutil.which("initdb", path=path), shutil.which("postgres", path=path)
    if initdb is None or postgres is None:
        pytest.skip("no PostgreSQL server programs on the PATH or in /usr/lib/postgresql")
    return initdb, postgres


@pytest.fixture(scope="session")
def postgres_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a running PostgreSQL whose superuser `tandem` needs no password."""
    initdb, postgres = postgres_programs()
    user = postgres_user()
    folder = Path("/tmp") / f"tandem-postgres-{uuid4().hex[:8]}"
    folder.mkdir()
    if user is not None:
        shutil.chown(folder, user)
    port = free_ports(1)[0]
    setup = [initdb, "-D", str(folder / "data"), "-A", "trust", "-U", "tandem", "--no-sync"]
    arguments = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-F"]
    try:
        subprocess.run(setup, user=user, cwd=folder, check=True, capture_output=True)
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(
                [postgres, "-D", str(folder / "data"), *arguments],
                user=user,
                cwd=folder,
                stdout=log,
                stderr=log,
            ) as server,
        ):
            try:
                _wait_for_postgres(port)
                yield f"127.0.0.1:{port}"
            finally:
                server.send_signal(signal.SIGQUIT)  # at once: its data goes, too
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgres_user() -> str | None:
    """PostgreSQL refuses to run as root; it then runs as the user its package makes."""
    if os.geteuid() != 0:
        return None
    import pwd

    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")


def _wait_for_postgres(port: int) -> None:
    for _ in range(100):
        try:
            psycopg.connect(_conninfo(f"127.0.0.1:{port}")).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    pytest.fail("postgres did not start within 10 s")


def _conninfo(address: str) -> str:
    return f"postgresql://tandem@{address}/postgres"


@pytest.fixture
def postgres_url(postgres_address: str) -> str:
    """SQLAlchemy URL of an empty PostgreSQL database."""
    return create_database(postgres_address)


def create_database(postgres_address: str) -> str:
    """SQLAlchemy URL of a new PostgreSQL database."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(_conninfo(postgres_address), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://tandem@{postgres_address}/{name}"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """SQLAlchemy URL of an SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'tandem.db'}"


MakeSettings = Callable[..., FeaturesSettings]


@pytest.fixture
def make_settings(tmp_path: Path, sqlite_url: str) -> MakeSettings:
    """Settings with everything below `tmp_path` and a free port, changed by keywords."""

    def make(**changes: object) -> FeaturesSettings:
        values: dict[str, object] = {
            "port": 0,
            "release_root": tmp_path / "releases",
            "database_url": sqlite_url,
            "store_root": tmp_path / "features",
            **changes,
        }
        return FeaturesSettings.model_validate(values)

    return make


MakeRelease = Callable[..., Release]


@pytest.fixture
def make_release(tmp_path: Path) -> MakeRelease:
    """Writes a release with users u0, u1, … and items i0, i1, …."""

    def make(n_users: int = 3, n_items: int = 250) -> Release:
        generator = np.random.default_rng(7)
        with ReleaseWriter(tmp_path / "releases") as writer:
            writer.table(release_files.ITEMS, _items(n_items))
            writer.table(release_files.USERS, _users(n_users))
            for name, shape in (
                (release_files.ITEM_VECTORS, (n_items, 8)),
                (release_files.USER_FACTORS, (n_users, 4)),
            ):
                writer.array(name, generator.normal(size=shape).astype(np.float32))
            return writer.commit(
                cut_off=0.0,
                n_items=n_items,
                n_users=n_users,
                n_events=0,
                feature_schema="test",
                config={},
                metrics={},
            )

    return make


def _items(count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_id": [f"i{n}" for n in range(count)],
            "title": [f"Title {n}" if n % 5 else "" for n in range(count)],
            "genres": [["Drama", "War"][: n % 3] for n in range(count)],
            "year": np.arange(count, dtype=np.int16) % 100 + 1900,
            "adult": np.arange(count) % 7 == 0,
            "available": np.ones(count, dtype=bool),
        }
    )


def _users(count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in range(count)],
            "region": ["de" if n % 2 else "" for n in range(count)],
            "friends": [[f"u{m}" for m in range(n)] for n in range(count)],
        }
    )
