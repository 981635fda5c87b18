"""Erases users: from the database in one transaction, then from the stores outside it.

The transaction leaves a tombstone, and from then on no reader shows what the other stores hold: the
user has no version, so a stored session is of no current one, and profiles of erased users are not
read. So a kill in between shows nothing; the erasure is pending, and is finished when a service
starts, or when it is asked for again.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, select

from services.common.database import overwriting
from services.common.erased import ErasedUsers, Tombstone, bury, tombstones
from services.features import versions
from services.features.async_log import AsyncEventLog
from services.features.offline import SECONDS_A_WRITE
from services.features.publisher import SessionPublisher

_SECOND_PASS_SECONDS = 2 * SECONDS_A_WRITE + 5.0
"""Later than a session can be pushed by a replica that had read the log before the erasure, and
written to the offline store; and than a slate of before can be logged."""

EraseRows = Callable[[Connection, str], int]
"""Removes a user's rows from a table, in the caller's transaction; returns how many."""

EraseOutside = Callable[[str, Tombstone], Awaitable[object]]
"""Removes a user from a store that has no part in transactions; again and again, if it must. What
the tombstone shows to be of a user who came back is to stay, unless it is a mere copy."""

log = logging.getLogger(__name__)

T = TypeVar("T")


class UserEraser:
    """Erases users, everywhere.

    Args:
        engine: of the database.
        event_log: whose writer thread does the transaction, so that appends wait their turn.
        publisher: pushes in progress are waited for before the online store is cleared.
        tables: by what they hold.
        outside: the stores outside the database.
    """

    def __init__(
        self,
        engine: Engine,
        event_log: AsyncEventLog,
        publisher: SessionPublisher,
        tables: Mapping[str, EraseRows],
        outside: Sequence[EraseOutside],
    ) -> None:
        self._engine = engine
        self._log = event_log
        self._publisher = publisher
        self._tables = tables
        self._outside = outside
        self._erased = ErasedUsers(engine)
        self._closing = asyncio.Event()
        self._running: set[asyncio.Task[Any]] = set()

    async def erase(self, user_id: str) -> dict[str, int]:
        """Erases a user; returns how many rows of each table went. Idempotent.

        Goes on to its end when the caller gives up.

        Raises:
            Unavailable: the database is down, or a store outside it is: then nothing of the user is
                shown any more, and the rest is erased when this is asked for again.
        """
        return await asyncio.shield(self._keep(self._erase(user_id)))

    async def finish_pending(self) -> None:
        """Finishes the erasures that something interrupted; logs what cannot be done now."""
        for user_id in await self._log.write(self._erased.pending):
            try:
                await self._finish(user_id)
            except Exception:  # whatever it is, events must be taken all the same
                log.warning("an erasure waits to be finished", exc_info=True)

    async def close(self) -> None:
        """Waits for erasures in progress."""
        self._closing.set()
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _erase(self, user_id: str) -> dict[str, int]:
        counts = await self._log.write(lambda: self._erase_rows(user_id))
        tombstone = await self._finish(user_id)
        self._keep(self._erase_later(user_id, tombstone))
        return counts

    def _erase_rows(self, user_id: str) -> dict[str, int]:
        with self._engine.connect() as db, overwriting(db):
            versions.lock(db, [user_id])
            counts = {name: erase(db, user_id) for name, erase in self._tables.items()}
            bury(db, user_id, time.time(), self._last_version(db, user_id) + 1)
            versions.forget(db, [user_id])
        return counts

    def _last_version(self, db: Connection, user_id: str) -> int:
        """The highest version that any copy of the user's data may carry."""
        column = versions.user_versions.c
        query = select(column.version).where(column.user_id == user_id)
        version: int = db.execute(query).scalar_one()
        before = tombstones(db, [user_id]).get(user_id)
        return max(version, before.version if before else 0)

    async def _finish(self, user_id: str) -> Tombstone:
        self._log.forget(user_id)
        tombstone = await self._log.read(lambda: self._erased.tombstone(user_id))
        await self._publisher.publish([user_id])  # ends after all pushes that began before it
        for erase in self._outside:
            await erase(user_id, tombstone)
        await self._log.write(lambda: self._erased.finish(user_id))
        return tombstone

    async def _erase_later(self, user_id: str, tombstone: Tombstone) -> None:
        """Once more, for what another replica was about to push."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), _SECOND_PASS_SECONDS)
        try:
            for erase in self._outside:
                await erase(user_id, tombstone)
        except Exception:
            log.warning("a second pass of an erasure failed", exc_info=True)

    def _keep(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task
