"""Releases whose vectors and rows nobody needs: those that were collected, that is struck off the
registry, and those that were refused, unless they are tried again.

Whoever collects or refuses cannot reach what services alone may touch: vectors in Milvus, rows in
the online store. So it writes down what is to go, and each service drops its part when it next
looks, even if it was down meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    String,
    Table,
    delete,
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

Settled = Callable[[str], Awaitable[None]]
"""Waits until a release is not being dropped; `Sweeper.settled`."""

log = logging.getLogger(__name__)


class CollectedReleases:
    """Reads what is to go. Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> list[str]:
        """Ids of all releases that were ever collected, and of those that are refused."""
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
    """Says that a release's vectors and rows are to go; to be done in the transaction in which it
    is struck off the registry or refused."""
    row = {"release_id": release_id, "collected_at": time.time(), "rows_dropped": False}
    insert = insert_of(db)(_collected).values(**row)
    db.execute(insert.on_conflict_do_update(index_elements=["release_id"], set_=row))


def take_back(db: Connection, release_id: str) -> None:
    """Says that a release's vectors and rows are wanted after all."""
    db.execute(delete(_collected).where(_collected.c.release_id == release_id))


class Sweeper:
    """A background task that drops a service's part of releases that are to go, now and then.

    Args:
        unneeded: ids of the releases that the service may hold a part of and that are to go.
        drop: drops the service's part of one; whatever it or `unneeded` raises is a warning, and
            the next sweep tries again.
        seconds: from the end of one sweep to the next.
    """

    def __init__(
        self,
        unneeded: Callable[[], Awaitable[Collection[str]]],
        drop: Callable[[str], Awaitable[None]],
        seconds: float = LOOK_SECONDS,
    ) -> None:
        self._unneeded = unneeded
        self._drop = drop
        self._seconds = seconds
        self._dropping = asyncio.Lock()
        self._at = ""
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, with a sweep at once."""
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Ends; what a sweep has not dropped yet, the next start does."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def settled(self, release_id: str) -> None:
        """Returns when a release is not being dropped.

        To be awaited before a part of it is made: what was taken back before is not dropped after.
        """
        if release_id == self._at:
            async with self._dropping:
                pass

    async def _run(self) -> None:
        while True:
            try:
                for release_id in await self._unneeded():
                    await self._drop_one(release_id)
            except Exception:
                log.warning("releases wait to be dropped", exc_info=True)
            await asyncio.sleep(self._seconds)

    async def _drop_one(self, release_id: str) -> None:
        async with self._dropping:
            self._at = release_id
            if release_id in await self._unneeded():  # it may have been taken back since
                await self._drop(release_id)
                log.info("a release was dropped", extra={"release_id": release_id})
