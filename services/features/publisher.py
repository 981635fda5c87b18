"""Brings sessions from the event log to the online store."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping

from models.session import SESSION_LENGTH
from services.common.errors import DomainError
from services.features.async_log import AsyncEventLog
from services.features.sessions import Session
from services.features.store import FeatureStore

_USERS_A_ROUND = 32

log = logging.getLogger(__name__)


class SessionPublisher:
    """Computes sessions and pushes them, one round after another, so that pushes keep their order.

    A user who waits for a round is computed once, however many events came meanwhile. Large
    requests share each round with small ones, so that nobody waits behind a bulk of users.

    Args:
        event_log: what sessions are computed from.
        store: where they go.
        pushed: called with what was pushed, by user id.
    """

    def __init__(
        self,
        event_log: AsyncEventLog,
        store: FeatureStore,
        pushed: Callable[[Mapping[str, Session]], None] = lambda _: None,
    ) -> None:
        self._log = event_log
        self._store = store
        self._pushed = pushed
        self._small: dict[str, asyncio.Future[None]] = {}
        self._large: dict[str, asyncio.Future[None]] = {}
        self._running: asyncio.Task[None] | None = None

    def request(self, user_ids: Collection[str]) -> list[asyncio.Future[None]]:
        """Asks for sessions made after now; the futures end when they are pushed.

        The online store being down is logged, not raised: readers compare versions, and compute a
        session that is missing or old themselves.
        """
        waiting = self._small if len(user_ids) <= _USERS_A_ROUND else self._large
        loop = asyncio.get_running_loop()
        futures = [waiting.setdefault(user_id, loop.create_future()) for user_id in user_ids]
        if futures and (self._running is None or self._running.done()):
            self._running = asyncio.create_task(self._run())
        return futures

    async def publish(self, user_ids: Collection[str]) -> None:
        """Asks for sessions, and returns when they are pushed."""
        futures = self.request(user_ids)
        if futures:
            await asyncio.wait(futures)  # unlike gather, leaves them alone when cancelled
            for future in futures:
                future.result()

    async def close(self) -> None:
        """Waits for all that was asked for."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while self._small or self._large:
            share = _USERS_A_ROUND // 2 if self._large else _USERS_A_ROUND
            batch = _take(self._small, share)
            batch |= _take(self._large, _USERS_A_ROUND - len(batch))
            try:
                await self._push(list(batch))
            except DomainError as error:
                log.warning("sessions not pushed", extra={"users": len(batch), "why": str(error)})
            except Exception as error:
                for future in batch.values():
                    future.set_exception(error)
                continue
            for future in batch.values():
                future.set_result(None)

    async def _push(self, user_ids: list[str]) -> None:
        histories = await self._log.histories(user_ids, SESSION_LENGTH)
        made = await asyncio.to_thread(Session.of_all, histories)
        sessions = dict(zip(user_ids, made, strict=True))
        await self._store.push_sessions(sessions)
        self._pushed(sessions)


def _take(
    waiting: dict[str, "asyncio.Future[None]"], limit: int
) -> dict[str, "asyncio.Future[None]"]:
    return {user_id: waiting.pop(user_id) for user_id in list(waiting)[:limit]}
