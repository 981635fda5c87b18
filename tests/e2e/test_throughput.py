"""The load that `make bench-events` sends counts what was stored."""

import asyncio
import sqlite3
from contextlib import closing

from bench.event_load import drive
from tests.e2e.conftest import Running


def test_the_load_counts_each_stored_event_once(running: Running) -> None:
    users = [f"load-{number}" for number in range(20)]
    load = asyncio.run(drive(running.address, users, running.world.item_ids, 3, 1.0))
    with closing(sqlite3.connect(running.state / "tandem.db")) as db:
        (stored,) = db.execute("SELECT count(*) FROM events WHERE user_id LIKE 'load-%'").fetchone()
    assert load.events == stored > 0
    assert load.failed == 0
    assert len(load.batches) * 100 == stored
