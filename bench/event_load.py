"""Batches of events as fast as they are taken, and what Recommend costs meanwhile."""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from bench.percentiles import percentiles
from tandem_client import AsyncClient, EventKind, TandemError, event

BATCH = 100
"""Events a call, and a commit of the floor."""

_PROBES_A_SECOND = 20
_PAUSE_SECONDS = 0.05

# As services/features/event_log.py has it.
_FLOOR_TABLE = """
CREATE TABLE events (seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL,
    item_id TEXT NOT NULL, kind INTEGER NOT NULL, value REAL NOT NULL, timestamp REAL NOT NULL,
    region TEXT NOT NULL, request_id TEXT NOT NULL, recorded_at REAL NOT NULL);
CREATE INDEX events_of_user ON events (user_id, timestamp, seq);
"""
_FLOOR_INSERT = (
    "INSERT INTO events (event_id, user_id, item_id, kind, value, timestamp, region, request_id,"
    " recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass
class Load:
    """What came of it.

    Attributes:
        events: stored.
        seconds: that it took.
        batches: milliseconds of each call that recorded events.
        refused: calls that were told to come again.
        probes: milliseconds of each call of Recommend, from the moment it was due.
        failed: calls of Recommend without an answer.
    """

    events: int = 0
    seconds: float = 0.0
    batches: list[float] = field(default_factory=list)
    refused: int = 0
    probes: list[float] = field(default_factory=list)
    failed: int = 0

    def document(self) -> dict[str, Any]:
        return {
            "events_per_second": self.events / self.seconds,
            "seconds": self.seconds,
            "refused": self.refused,
            "failed_recommends": self.failed,
            **percentiles(self.batches, "batch"),
            **percentiles(self.probes, "recommend"),
        }


async def drive(
    address: str, users: Sequence[str], items: Sequence[str], clients: int, seconds: float
) -> Load:
    """Sends batches of `BATCH` events by random users, and asks 20 times a second besides.

    Args:
        address: `host:port` of the orchestrator.
        users, items: ids to draw from.
        clients: that send, each as soon as its last batch is acknowledged; 0 only asks.
        seconds: how long.
    """
    load, started = Load(), time.perf_counter()
    ends = started + seconds
    async with AsyncClient(address) as client:
        await asyncio.gather(
            _probe(client, users, load, ends),
            *(_send(client, users, items, load, ends, n) for n in range(clients)),
        )
    load.seconds = time.perf_counter() - started
    return load


async def _send(
    client: AsyncClient,
    users: Sequence[str],
    items: Sequence[str],
    load: Load,
    ends: float,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    while time.perf_counter() < ends:
        by, on = rng.integers(len(users), size=BATCH), rng.integers(len(items), size=BATCH)
        batch = [
            event(users[u], items[i], EventKind.EVENT_KIND_CLICK, region="north")
            for u, i in zip(by.tolist(), on.tolist(), strict=True)
        ]
        started = time.perf_counter()
        try:
            stored = await client.record(batch)
        except TandemError as error:
            if error.code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            load.refused += 1
            await asyncio.sleep(_PAUSE_SECONDS)
            continue
        load.events += stored.accepted  # not before the await: others add meanwhile
        load.batches.append((time.perf_counter() - started) * 1e3)


async def _probe(client: AsyncClient, users: Sequence[str], load: Load, ends: float) -> None:
    """An open loop: a slow answer does not keep the next question."""

    async def ask(user: str, due: float) -> None:
        try:
            await client.recommend(user)
        except TandemError:
            load.failed += 1
        load.probes.append((time.perf_counter() - due) * 1e3)

    rng, began = np.random.default_rng(0), time.perf_counter()
    async with asyncio.TaskGroup() as asking:
        for number in count():
            due = began + number / _PROBES_A_SECOND
            if due >= ends:
                return
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asking.create_task(ask(users[int(rng.integers(len(users)))], due))


def floor_rate(file: Path, users: Sequence[str], items: Sequence[str], seconds: float) -> float:
    """Events a second of bare SQLite: the log's table and indexes, a commit and an fsync a batch.

    Nothing is checked, locked, answered or computed.
    """
    rng, stored = np.random.default_rng(0), 0
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.executescript(_FLOOR_TABLE)
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            by, on = rng.integers(len(users), size=BATCH), rng.integers(len(items), size=BATCH)
            now = time.time()
            rows = [
                (f"{stored + n:032x}", users[u], items[i], 2, 0.0, now, "north", "", now)
                for n, (u, i) in enumerate(zip(by.tolist(), on.tolist(), strict=True))
            ]
            with db:
                db.executemany(_FLOOR_INSERT, rows)
            stored += BATCH
        return stored / (time.perf_counter() - started)
