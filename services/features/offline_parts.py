"""Feast's offline store of sessions: a folder of parquet parts, which we write ourselves.

Feast's own way to write (0.67) reads and rewrites the whole file on each call. Blocks; one caller
at a time. A reader may come upon a part and its copy in a merged one; Feast drops such twins.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast.types import from_feast_to_pyarrow_type

from services.features.repo.definitions import user_session
from services.features.sessions import Session

_ROWS_A_STEP = 20  # are converted in one go, for which the event loop may have to wait
_SMALL_BYTES = 4 << 20
_MERGED_BYTES = 16 << 20
_MOST_SMALL = 32  # more are merged
_SECONDS_A_DAY = 86_400.0

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


class SessionParts:
    """Sessions by user and time of the newest event.

    Args:
        folder: where parts are; `definitions.py` names it to Feast. Replicas may share it.
        days: parts whose newest row was written longer ago than this are removed.
        most_bytes: of what is more than this, the oldest parts are removed.
    """

    def __init__(self, folder: Path, days: float, most_bytes: int) -> None:
        self._folder = folder
        self._days = days
        self._most_bytes = most_bytes

    def write(self, sessions: Iterable[tuple[str, Session]]) -> None:
        """Stores sessions by user id; those without events have no time, and are left out."""
        rows = [(user_id, session) for user_id, session in sessions if session.timestamps]
        if rows:
            self._write(pa.Table.from_batches(_batches(rows), _SCHEMA), time.time())

    def tidy(self) -> None:
        """Merges small parts, removes old ones."""
        small = [part for part in self._parts() if part.stat().st_size < _SMALL_BYTES]
        if len(small) > _MOST_SMALL:
            self._merge(small)
        oldest, size = time.time() - self._days * _SECONDS_A_DAY, 0
        for part in reversed(self._parts()):
            size += part.stat().st_size
            if _written(part) < oldest or size > self._most_bytes:
                part.unlink()

    def erase(self, user_id: str) -> int:
        """Removes a user's rows from all parts; returns how many there were."""
        erased = 0
        for part in self._parts():
            users = pq.read_table(part, columns=["user_id"])["user_id"]
            found = pc.sum(pc.equal(users, user_id)).as_py() or 0
            if found:
                table = pq.read_table(part)
                kept = table.filter(pc.not_equal(table["user_id"], user_id))
                if kept.num_rows:
                    self._write(kept, _written(part))
                part.unlink()
                erased += found
        return erased

    def _parts(self) -> list[Path]:
        """All parts, oldest first."""
        return sorted(self._folder.glob("*.parquet"))

    def _merge(self, small: Sequence[Path]) -> None:
        chosen: list[Path] = []
        size = 0
        for part in small:
            size += part.stat().st_size
            if size > _MERGED_BYTES:
                break
            chosen.append(part)
        self._write(pa.concat_tables(map(pq.read_table, chosen)), _written(chosen[-1]))
        for part in chosen:
            part.unlink()

    def _write(self, table: Any, written: float) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f"{round(written * 1e3):015d}-{uuid4().hex}.parquet"
        unfinished = part.with_suffix(".unfinished")
        pq.write_table(table, unfinished, compression="zstd", use_dictionary=_DICTIONARIES)
        unfinished.rename(part)


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
