"""Follows erasures, so that what this process remembers of an erased user goes, too."""

import asyncio
import logging
import time
from collections.abc import Callable, Set

from sqlalchemy.exc import SQLAlchemyError

from services.common.erased import ErasedUsers

_OVERLAP_SECONDS = 10.0
"""Clocks differ, transactions last, and an answer on its way may be remembered a moment later."""

log = logging.getLogger(__name__)


class ErasureFollower:
    """Asks the database for new erasures, again and again.

    Args:
        erased: who was erased.
        forget: takes the hashes of erased users' ids; the same ones several times.
        poll_seconds: time between two questions.
    """

    def __init__(
        self, erased: ErasedUsers, forget: Callable[[Set[str]], None], poll_seconds: float
    ) -> None:
        self._erased = erased
        self._forget = forget
        self._poll_seconds = poll_seconds
        self._follower: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._follower = asyncio.create_task(self._follow())

    async def close(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)

    async def _follow(self) -> None:
        asked_until = time.time()
        while True:
            await asyncio.sleep(self._poll_seconds)
            now = time.time()
            try:
                new = await asyncio.to_thread(self._erased.since, asked_until - _OVERLAP_SECONDS)
            except SQLAlchemyError as error:
                log.warning("cannot follow erasures", extra={"error": str(error)})
                continue
            asked_until = now
            if new:
                self._forget(new)
