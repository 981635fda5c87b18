"""Which releases a system holds anything of, place by place."""

import os
import re
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from pymilvus import MilvusClient
from sqlalchemy import Engine

from services.common.garbage import BUILD_SECONDS, CHECKPOINT_SECONDS
from services.common.releases import ReleaseRegistry
from services.common.stored import StoredRecommendations

_RELEASE = re.compile(rb"\d{8}.\d{6}.[0-9a-f]{8}")


def of_registry(engine: Engine) -> set[str]:
    return {release.release_id for release in ReleaseRegistry(engine).list()}


def of_lists(engine: Engine) -> set[str]:
    return StoredRecommendations(engine).releases()


def of_milvus(uri: str) -> set[str]:
    """Releases that have a collection, whoever made it."""
    with closing(MilvusClient(uri)) as client:
        return _named(name.replace("_", "-").encode() for name in client.list_collections())


def of_online_store(folder: Path) -> set[str]:
    """Releases that have a row in any table of Feast's SQLite store."""
    with closing(sqlite3.connect(f"file:{folder}/online.db?mode=ro", uri=True)) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return _named(
            key
            for (table,) in tables
            for (key,) in db.execute(f'SELECT DISTINCT entity_key FROM "{table}"')
        )


def make_old(state: Path) -> None:
    """Lets builds and checkpoints look as if the time had passed for which they are left alone."""
    for folder, seconds in (("releases", BUILD_SECONDS), ("checkpoints", CHECKPOINT_SECONDS)):
        then = time.time() - 2 * seconds
        for path in (state / folder).rglob("*"):
            os.utime(path, (then, then))


def _named(names: Iterable[bytes]) -> set[str]:
    return {found.decode() for name in names for found in _RELEASE.findall(name)}
