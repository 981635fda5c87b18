"""What new requests are pinned to: the release that serves, with the live items laid over it."""

import asyncio
import logging

from models.release import Release, ReleaseError
from services.common.errors import Unavailable
from services.common.live_view import LiveItems
from services.orchestrator.catalogue import Catalogue, load_tower

log = logging.getLogger(__name__)


class Serving:
    """Keeps in memory what is served, and what was before. To be used on one event loop.

    Args:
        live: items to lay over what is served; None for none.

    Attributes:
        current: what is served; None until there is a release.
        before: what was served before that; None until it is in memory, or if there is none.
        begun: set once something is served.
    """

    def __init__(self, live: LiveItems | None) -> None:
        self._live = live
        self.current: Catalogue | None = None
        self.before: Catalogue | None = None
        self.begun = asyncio.Event()
        self._towerless: Release | None = None

    def catalogue(self) -> Catalogue:
        """The items that are served: the release's, and the live ones.

        Raises:
            Unavailable: no release serves yet.
        """
        if self.current is None:
            raise Unavailable("no release is active yet")
        return self.current

    def serve(self, catalogue: Catalogue) -> None:
        """Pins requests that come from now on."""
        now = self.current
        if now is not None and now.release.release_id != catalogue.release.release_id:
            self.before = now
        self.current = catalogue
        self.begun.set()

    def held(self, release_id: str) -> Catalogue | None:
        """A release, if it is in memory."""
        for known in (self.current, self.before):
            if known is not None and known.release.release_id == release_id:
                return known
        return None

    async def follow_live_items(self) -> None:
        """Lays the live items over what is served, with true vectors, if they changed."""
        await self.lay_over()
        await self._add_tower()

    async def lay_over(self) -> None:
        """Lays the live items over what is served if they changed; works off the event loop."""
        while self._live is not None and (known := self.current) is not None:
            live = self._live.current()
            if known.live is live:
                return
            # What was replaced meanwhile, by a release or a tower, is laid over in the next round.
            self._replace(known, await asyncio.to_thread(known.with_live, live))

    async def _add_tower(self) -> None:
        known = self.current
        if known is None or known.release is self._towerless or not known.needs_tower:
            return
        release = known.release
        try:
            tower = await asyncio.to_thread(load_tower, release)
        except ReleaseError as error:
            self._towerless = release  # new items are shown, but count as like nothing
            log.error("no vectors of new items", extra={"error": str(error)})
            return
        while (known := self.current) and known.release is release and known.needs_tower:
            self._replace(known, await asyncio.to_thread(known.with_tower, tower))

    def _replace(self, known: Catalogue, newer: Catalogue) -> None:
        if self.current is known:  # else another release, or another change, was faster
            self.current = newer
