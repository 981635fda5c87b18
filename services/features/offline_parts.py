"""Feast's offline store of sessions: a folder of parquet parts, which we write ourselves.

Feast's own way to write (0.67) reads and rewrites the whole file on each call. Blocks; one caller
at a time. A reader may come upon a part and its copy in a merged one; Feast drops such twins.
"""

import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast.types import from_feast_to_pyarrow_type

from models.popularity import SECONDS_A_DAY
from services.features.repo.definitions import user_session
from services.features.sessions import Session

_ROWS_A_STEP = 20  # are converted in one go, for which the event loop may have to wait
_SMALL_BYTES = 4 << 20
_MERGED_BYTES = 16 << 20
_MOST_SMALL = 32  # more are merged
_UNFINISHED_SECONDS = 60.0  # after which nobody writes such a file any more

_TIME = pa.timestamp("us", tz="UTC")
_KEYS = {"user_id": pa.string(), "event_timestamp": _TIME, "version_time": _TIME}
_FEATURES = {
    field.name: from_feast_to_pyarrow_type(field.dtype)
    for field in sorted(user_session.schema, key=lambda field: str(field.name))
    if field.name not in user_session.join_keys
}
# Numbers hardly repeat: to look for that takes longer than all the rest, and makes files larger.
_DICTIONARIES = ["user_id", "region", "item_ids.list.element", "taste_item_ids.list.element"]
_SCHEMA = pa.schema([*_KEYS.items(), *_FEATURES.items()])

log = logging.getLogger(__name__)


class SessionParts:
    """Sessions by user and time of the newest event.

    Args:
        folder: where parts are; `definitions.py` names it to Feast. One replica's own.
        days: parts whose newest row was written longer ago than this are removed.
        most_bytes: of what is more than this, the oldest parts are removed.
    """

    def __init__(self, folder: Path, days: float, most_bytes: int) -> None:
        self._folder = folder
        self._days = days
        self._most_bytes = most_bytes
        self._tidied = False

    def write(self, sessions: Iterable[tuple[str, Session]]) -> None:
        """Stores sessions by user id; those without events have no time, and are left out."""
        rows = [(user_id, session) for user_id, session in sessions if session.timestamps]
        if rows:
            self._write(pa.Table.from_batches(_batches(rows), _SCHEMA), time.time())

    def tidy(self) -> None:
        """Merges small parts, removes old ones, and at first what a kill left unfinished."""
        if not self._tidied:
            self._remove_unfinished()
            self._tidied = True
        small = [part for part in self._parts() if _size(part) < _SMALL_BYTES]
        if len(small) > _MOST_SMALL:
            self._merge(small)
        oldest, size = time.time() - self._days * SECONDS_A_DAY, 0
        for part in reversed(self._parts()):
            size += _size(part)
            if _written(part) < oldest or size > self._most_bytes:
                part.unlink(missing_ok=True)

    def erase(self, user_id: str, up_to: int) -> int:
        """Removes a user's rows of versions up to `up_to`; returns how many there were."""
        self._remove_unfinished()
        erased = 0
        for part in self._parts():
            table = _read(part)
            if table is None:
                continue
            old = pc.less_equal(table["version"], up_to).fill_null(True)
            gone = pc.and_(pc.equal(table["user_id"], user_id), old)
            if found := pc.sum(gone).as_py() or 0:
                kept = table.filter(pc.invert(gone))
                if kept.num_rows:
                    self._write(kept, _written(part))
                part.unlink(missing_ok=True)
                erased += found
        return erased

    def _parts(self) -> list[Path]:
        """All parts, oldest first."""
        return sorted(self._folder.glob("*.parquet"))

    def _merge(self, small: Sequence[Path]) -> None:
        chosen: list[Path] = []
        size = 0
        for part in small:
            size += _size(part)
            if size > _MERGED_BYTES:
                break
            chosen.append(part)
        tables = [table for table in map(_read, chosen) if table is not None]
        if tables:
            self._write(pa.concat_tables(tables), _written(chosen[-1]))
        for part in chosen:
            part.unlink(missing_ok=True)

    def _remove_unfinished(self) -> None:
        for file in self._folder.glob("*.unfinished"):
            if time.time() - file.stat().st_mtime > _UNFINISHED_SECONDS:
                file.unlink(missing_ok=True)

    def _write(self, table: Any, written: float) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f"{round(written * 1e3):015d}-{uuid4().hex}.parquet"
        unfinished = part.with_suffix(".unfinished")
        try:
            pq.write_table(table, unfinished, compression="zstd", use_dictionary=_DICTIONARIES)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())  # else a power cut may leave the name without the content
            unfinished.rename(part)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def _read(part: Path) -> Any:
    """A part's table, in the schema of now; None when it is gone, or damaged and so removed."""
    try:
        content = part.read_bytes()
    except FileNotFoundError:
        return None
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read()
        return pa.table([_column(table, field) for field in _SCHEMA], schema=_SCHEMA)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, MemoryError):
            raise
        log.warning("a damaged part is removed", extra={"part": part.name, "why": str(error)})
        part.unlink(missing_ok=True)
        return None


def _column(table: Any, field: Any) -> Any:
    if field.name not in table.column_names:  # written before there was such a feature
        return pa.nulls(table.num_rows, field.type)
    return table[field.name].cast(field.type)


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _written(part: Path) -> float:
    """When the newest row of a part was written, in Unix seconds."""
    return int(part.name.partition("-")[0]) / 1e3


def _batches(rows: Sequence[tuple[str, Session]]) -> Iterator[Any]:
    for start in range(0, len(rows), _ROWS_A_STEP):
        block = rows[start : start + _ROWS_A_STEP]
        sessions = [session for _, session in block]
        keys = {
            "user_id": [user_id for user_id, _ in block],
            "event_timestamp": [int(session.timestamps[-1] * 1e6) for session in sessions],
            "version_time": [session.version for session in sessions],
        }
        features = {name: [getattr(s, name) for s in sessions] for name in _FEATURES}
        columns = {**keys, **features}
        yield pa.record_batch(
            [pa.array(columns[field.name], field.type) for field in _SCHEMA], schema=_SCHEMA
        )
