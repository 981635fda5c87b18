"""Lets events expire: a background task, in batches that live writes pass between."""

import asyncio
import logging
import time

from models.popularity import SECONDS_A_DAY
from services.common.leases import Lease
from services.features.async_log import AsyncEventLog
from services.features.publisher import SessionPublisher

LEASE_SECONDS = 60.0
_PASS_SECONDS = 60.0  # from the end of one pass to the next
_EVENTS_A_BATCH = 500

log = logging.getLogger(__name__)


class Retention:
    """Removes events some days after they were recorded, whenever they happened.

    Their users' versions grow, so that sessions and seen items are made again without them. One
    replica does it at a time.

    Args:
        event_log: which events are removed from.
        publisher: makes the sessions again.
        lease: the right to do this.
        days: how long events are kept; 0 for ever.
    """

    def __init__(
        self, event_log: AsyncEventLog, publisher: SessionPublisher, lease: Lease, days: float
    ) -> None:
        self._log = event_log
        self._publisher = publisher
        self._lease = lease
        self._days = days
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to work in the background, unless events are kept for ever."""
        if self._days:
            self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Ends; a batch in progress is a transaction, which is whole or not at all."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def expire(self) -> int:
        """Removes all that is too old now, unless another replica is at it.

        Returns:
            Batches done.
        """
        batches = 0
        before = time.time() - self._days * SECONDS_A_DAY
        while await self._log.write(self._lease.take):
            began = time.monotonic()
            users = await self._log.expire(before, _EVENTS_A_BATCH)
            if users is None:
                break
            batches += 1
            await self._publisher.publish(users)
            await asyncio.sleep(time.monotonic() - began)  # half of the time is for others
        return batches

    async def _run(self) -> None:
        while True:
            try:
                if batches := await self.expire():
                    log.info("events expired", extra={"batches": batches})
            except Exception:  # whatever it is, the next pass may do better
                log.warning("events wait to expire", exc_info=True)
            await asyncio.sleep(_PASS_SECONDS)
