"""Takes sessions to the offline store, beside the requests: from a buffer, every few seconds."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

import pyarrow as pa

from services.common.errors import Unavailable
from services.features.metrics import LOST_OFFLINE_SESSIONS
from services.features.offline_parts import SessionParts
from services.features.sessions import Session

SECONDS_A_WRITE = 5.0
"""From one write of what waits to the next."""

_FAILURES = (OSError, pa.ArrowException)
_MOST_WAITING = 20_000  # sessions, of a few kilobytes each

log = logging.getLogger(__name__)

T = TypeVar("T")


class OfflineSessions:
    """Keeps each session that was pushed, for training as of any moment.

    What does not fit into the buffer, cannot be written, or waits when the process is killed is
    lost here, and counted where that can be; the event log has all that it was made from.

    Args:
        parts: where sessions go; None keeps none.
        most_waiting: sessions that the buffer holds.
    """

    def __init__(self, parts: SessionParts | None, most_waiting: int = _MOST_WAITING) -> None:
        self._parts = parts
        self._most_waiting = most_waiting
        self._waiting: list[tuple[str, Session]] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="offline")
        self._closing = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts to write in the background."""
        self._running = asyncio.create_task(self._run())

    def add(self, sessions: Mapping[str, Session]) -> None:
        """Takes sessions by user id."""
        if self._parts is None:
            return
        fitting = max(0, self._most_waiting - len(self._waiting))
        self._waiting += list(sessions.items())[:fitting]
        LOST_OFFLINE_SESSIONS.inc(max(0, len(sessions) - fitting))

    async def erase(self, user_id: str, up_to: int) -> int:
        """Removes a user's sessions of versions up to `up_to`; returns how many were stored.

        Raises:
            Unavailable: some could not be removed.
        """
        if self._parts is None:
            return 0
        self._waiting = [
            (user, session)
            for user, session in self._waiting
            if user != user_id or session.version > up_to
        ]
        try:
            return await self._off_loop(partial(self._parts.erase, user_id, up_to))
        except _FAILURES as error:
            raise Unavailable(f"the offline store cannot be written: {error}") from error

    async def close(self) -> None:
        """Writes what waits."""
        self._closing.set()
        if self._running is not None:
            await asyncio.wait([self._running])
        await asyncio.to_thread(self._thread.shutdown)

    async def _run(self) -> None:
        closing = False
        while not closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_A_WRITE):
                    await self._closing.wait()
            closing = self._closing.is_set()  # before the last look at what waits
            if self._parts is not None and self._waiting:
                await self._write(self._parts)  # raises nothing: it has to go on

    async def _write(self, parts: SessionParts) -> None:
        rows, self._waiting = self._waiting, []
        try:
            await self._off_loop(partial(parts.write, rows))
        except Exception:
            LOST_OFFLINE_SESSIONS.inc(len(rows))
            log.warning("sessions not kept offline", exc_info=True, extra={"sessions": len(rows)})
        try:
            await self._off_loop(parts.tidy)
        except Exception:
            log.warning("the offline store is not tidied", exc_info=True)

    async def _off_loop(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
