"""Has the other services take releases in, and knows which ones all of them hold."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from services.common.errors import FailedPrecondition, Unavailable
from services.orchestrator.clients import Prepared

_RETRY_SECONDS = 0.5
_ATTEMPT_SECONDS = 120.0
_PATIENCE_SECONDS = 0.3
"""What a switch to a release that services held before waits for them to say so again."""

log = logging.getLogger(__name__)


class Preparable(Protocol):
    async def prepare(self, release_id: str, timeout: float) -> Prepared: ...


class Preparation:
    """Asks all services at once.

    Args:
        services: who is asked.
        seconds: time they get while they cannot be reached.
    """

    def __init__(self, services: Sequence[Preparable], seconds: float) -> None:
        self._services = services
        self._seconds = seconds
        self._held: set[str] = set()
        self._late: set[asyncio.Task[list[Prepared]]] = set()

    async def prepare(self, release_id: str) -> list[Prepared]:
        """Waits until every service holds a release.

        Raises:
            FailedPrecondition: a service refuses it.
            Unavailable: a service could not be reached in time.
        """
        return await self._prepare(release_id, self._seconds)

    async def confirm(self, release_id: str) -> None:
        """Asks about a release that served before, and waits no longer than must be.

        If all services held it lately, it is only a moment. Else they may load it, but whoever
        cannot be reached is not waited for: it may be the active release that keeps it down.
        Those who are late go on, and meanwhile their callers fall back on the release before.

        Raises:
            FailedPrecondition: a service refuses it.
        """
        if release_id in self._held:
            asked = asyncio.create_task(self.prepare(release_id), name=release_id)
            done, _ = await asyncio.wait({asked}, timeout=_PATIENCE_SECONDS)
            if done:
                asked.result()
                return
        else:
            attempts = (self._ask(service, release_id, 0.0) for service in self._services)
            outcomes = await asyncio.gather(*attempts, return_exceptions=True)
            failures = [each for each in outcomes if isinstance(each, BaseException)]
            if not failures:
                self._held.add(release_id)
                return
            for failure in failures:
                if not isinstance(failure, Unavailable):
                    raise failure
            asked = asyncio.create_task(self.prepare(release_id), name=release_id)
        self._late.add(asked)
        asked.add_done_callback(self._note_late)

    async def keep(self, release_id: str) -> None:
        """Like `prepare`, in a single attempt: for calls that are made again and again.

        Raises:
            FailedPrecondition, Unavailable: see `prepare`.
        """
        await self._prepare(release_id, 0.0)

    async def close(self) -> None:
        for late in self._late:
            late.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def _prepare(self, release_id: str, seconds: float) -> list[Prepared]:
        asked = [self._ask(service, release_id, seconds) for service in self._services]
        try:
            prepared = await asyncio.gather(*asked)
        except FailedPrecondition:
            self._held.discard(release_id)
            raise
        self._held.add(release_id)
        return prepared

    async def _ask(self, service: Preparable, release_id: str, seconds: float) -> Prepared:
        ends = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                return await service.prepare(release_id, _ATTEMPT_SECONDS)
            except Unavailable:
                if asyncio.get_running_loop().time() >= ends:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    def _note_late(self, asked: asyncio.Task[list[Prepared]]) -> None:
        self._late.discard(asked)
        if not asked.cancelled() and (error := asked.exception()) is not None:
            extra = {"release_id": asked.get_name(), "error": str(error)}
            log.error("serves, but a service cannot take it in", extra=extra)
