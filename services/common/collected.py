"""Releases that were collected: struck off the registry, so that nobody uses them any more.

Whoever collects cannot reach what services alone may touch: vectors in Milvus, rows in the online
store. So it writes down what is gone, and each service drops its part when it next looks, even if
it was down meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    String,
    Table,
    false,
    select,
    true,
    update,
)

from services.common.database import insert_of, metadata

LOOK_SECONDS = 30.0

_collected = Table(
    "collected_releases",
    metadata,
    Column("release_id", String(64), primary_key=True),
    Column("collected_at", Double, nullable=False),
    Column("rows_dropped", Boolean, nullable=False),
)

log = logging.getLogger(__name__)


class CollectedReleases:
    """Reads what was collected. Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> list[str]:
        """Ids of all releases that were ever collected."""
        with self._engine.connect() as db:
            return list(db.execute(select(_collected.c.release_id)).scalars())

    def with_rows(self) -> list[str]:
        """Ids of those that may still have rows in the online store."""
        query = select(_collected.c.release_id).where(_collected.c.rows_dropped == false())
        with self._engine.connect() as db:
            return list(db.execute(query).scalars())

    def rows_dropped(self, release_id: str) -> None:
        """Remembers that a release has no rows in the online store any more."""
        with self._engine.begin() as db:
            db.execute(
                update(_collected)
                .where(_collected.c.release_id == release_id)
                .values(rows_dropped=true())
            )


def write_down(db: Connection, release_id: str) -> None:
    """Says that a release was collected; to be done where it is struck off the registry."""
    row = {"release_id": release_id, "collected_at": time.time(), "rows_dropped": False}
    insert = insert_of(db)(_collected).values(**row)
    db.execute(insert.on_conflict_do_nothing(index_elements=["release_id"]))


class Sweeper:
    """A background task that drops a service's part of what was collected, now and then.

    Args:
        sweep: drops it; whatever it raises is a warning, and the next sweep tries again.
        seconds: from the end of one sweep to the next.
    """

    def __init__(self, sweep: Callable[[], Awaitable[None]], seconds: float = LOOK_SECONDS) -> None:
        self._sweep = sweep
        self._seconds = seconds
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, with a sweep at once."""
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Ends; what a sweep has not dropped yet, the next start does."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._sweep()
            except Exception:
                log.warning("collected releases wait to be dropped", exc_info=True)
            await asyncio.sleep(self._seconds)
