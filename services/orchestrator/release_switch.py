"""Which release serves: loads it, prepares the other services, has it probed, switches, follows
switches."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from models.release import Release, ReleaseError
from services.common.errors import DomainError, FailedPrecondition, Unavailable
from services.common.live_view import LiveItems
from services.common.releases import ReleaseRecord, ReleaseRegistry
from services.orchestrator.catalogue import Catalogue, load_tower
from services.orchestrator.clients import Prepared
from services.orchestrator.probe import ProbeReport, ReleaseProbe

_RETRY_SECONDS = 0.5
_ATTEMPT_SECONDS = 120.0
_LIVE_SECONDS = 0.1
"""How often it is checked whether live items changed; the check is one comparison."""

log = logging.getLogger(__name__)


class Preparable(Protocol):
    async def prepare(self, release_id: str, timeout: float) -> Prepared: ...


class ReleaseSwitch:
    """Holds the release that new requests are pinned to, with the live items laid over it.

    Args:
        registry: where releases are listed.
        root: folder of the release folders.
        services: told to prepare a release before it is activated.
        prepare_seconds: time they get.
        poll_seconds: how often the registry is checked for a switch made elsewhere.
        live: items to lay over the release; None for none.
        probe: tries a release before it serves for the first time; None lets any serve.
    """

    def __init__(
        self,
        registry: ReleaseRegistry,
        root: Path,
        services: Sequence[Preparable],
        prepare_seconds: float,
        poll_seconds: float,
        live: LiveItems | None = None,
        probe: ReleaseProbe | None = None,
    ) -> None:
        self._registry = registry
        self._root = root
        self._services = services
        self._prepare_seconds = prepare_seconds
        self._poll_seconds = poll_seconds
        self._live = live
        self._probe = probe
        self._current: Catalogue | None = None
        self._before: Catalogue | None = None
        self._towerless: Release | None = None
        self._switching = asyncio.Lock()
        self._followers: list[asyncio.Task[None]] = []

    def current(self) -> Release:
        """The release that serves.

        Raises:
            Unavailable: none does yet.
        """
        return self.catalogue().release

    def catalogue(self) -> Catalogue:
        """The items that are served: the release's, and the live ones.

        Raises:
            Unavailable: no release serves yet.
        """
        if self._current is None:
            raise Unavailable("no release is active yet")
        return self._current

    def before(self) -> Catalogue | None:
        """What was served before the last switch, if that was since the start."""
        return self._before

    async def lay_over(self) -> None:
        """Lays the live items over the release again if they changed; works off the event loop."""
        while self._live is not None and (known := self._current) is not None:
            live = self._live.current()
            if known.live is live:
                return
            # What was replaced meanwhile, by a release or a tower, is laid over in the next round.
            self._replace(known, await asyncio.to_thread(known.with_live, live))

    async def start(self) -> None:
        """Activates the release waiting for it, else loads the active one, else waits for one."""
        active = await asyncio.to_thread(self._registry.active)
        if active is not None:
            self._current = await asyncio.to_thread(self._load, active)
        await self._activate_pending()
        while self._current is None:
            await asyncio.sleep(self._poll_seconds)
            await self._follow_once()
            if self._current is None:  # the first one may be built while this waits for it
                await self._activate_pending()
        self._followers = [asyncio.create_task(self._follow())]
        if self._live is not None:
            self._followers.append(asyncio.create_task(self._follow_live_items()))

    async def close(self) -> None:
        for follower in self._followers:
            follower.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)

    async def check_known(self, release_id: str) -> None:
        """Refuses what is no release of this system, before its folder is looked for.

        Raises:
            NotFound: no such release.
        """
        await asyncio.to_thread(self._registry.get, release_id)

    async def activate(self, release_id: str) -> ReleaseRecord:
        """Prepares all services for a release, probes it, then switches to it.

        One that has served before is not probed: rolling back must be fast, and never fail for
        what was good enough then. Whatever is raised, the old release still serves.

        Raises:
            NotFound: no such release.
            FailedPrecondition: the release is damaged, a service refuses it, or it failed a check;
                unless it has served before, it is marked as refused.
            Unavailable: a service could not be reached in time.
        """
        async with self._switching:
            known = await asyncio.to_thread(self._registry.get, release_id)
            if known.has_served:
                catalogue = await self._ready(release_id, None)
            else:
                catalogue = await self._accept(release_id)
            record = await asyncio.to_thread(self._registry.activate, release_id)
            self._serve(catalogue)
            log.info("activated", extra={"release_id": release_id})
            return record

    async def releases(self) -> list[ReleaseRecord]:
        """All releases, newest first."""
        return await asyncio.to_thread(self._registry.list)

    async def rollback(self) -> ReleaseRecord:
        """Activates the release that served before.

        Raises:
            FailedPrecondition: there is none.
        """
        return await self.activate(await asyncio.to_thread(self._registry.previous))

    async def _activate_pending(self) -> None:
        release_id = await asyncio.to_thread(self._registry.pending)
        if release_id is None:
            return
        try:
            await self.activate(release_id)
        except (FailedPrecondition, Unavailable) as error:
            log.error("not activated", extra={"release_id": release_id, "error": str(error)})

    async def _accept(self, release_id: str) -> Catalogue:
        try:
            catalogue = await self._ready(release_id, self._probe)
        except FailedPrecondition as error:
            await asyncio.to_thread(self._registry.refuse, release_id, str(error))
            raise FailedPrecondition(f"release {release_id} was refused: {error}") from None
        await asyncio.to_thread(self._registry.pass_probe, release_id)
        return catalogue

    async def _ready(self, release_id: str, probe: ReleaseProbe | None) -> Catalogue:
        if probe is None:
            catalogue = await self._catalogue_of(release_id)
        else:
            catalogue = await asyncio.to_thread(self._load, release_id)
        release = catalogue.release
        serving = None if self._current is None else self._current.release
        if probe is not None:
            # Before any service takes it in: a release that is broken in itself stays out.
            _settle(release_id, await asyncio.to_thread(probe.inspect, release, serving))
        prepared = await asyncio.gather(*(self._prepare(s, release_id) for s in self._services))
        if probe is not None:
            _settle(release_id, await probe.ask(release, prepared))
        return catalogue

    async def _prepare(self, service: Preparable, release_id: str) -> Prepared:
        ends = asyncio.get_running_loop().time() + self._prepare_seconds
        while True:
            try:
                return await service.prepare(release_id, _ATTEMPT_SECONDS)
            except Unavailable:
                if asyncio.get_running_loop().time() > ends:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._follow_once()
            except (DomainError, OSError) as error:
                log.warning("cannot follow the registry", extra={"error": str(error)})

    async def _follow_once(self) -> None:
        active = await asyncio.to_thread(self._registry.active)
        if active is None or (self._current and active == self._current.release.release_id):
            return
        catalogue = await self._catalogue_of(active)
        async with self._switching:
            self._serve(catalogue)
        log.info("followed", extra={"release_id": active})

    async def _follow_live_items(self) -> None:
        while True:
            await asyncio.sleep(_LIVE_SECONDS)
            try:
                await self.lay_over()
                await self._add_tower()
            except Exception:  # a task that ended would show withdrawn items for good
                log.exception("live items not laid over")
                await asyncio.sleep(self._poll_seconds)

    async def _add_tower(self) -> None:
        known = self._current
        if known is None or known.release is self._towerless or not known.needs_tower:
            return
        release = known.release
        try:
            tower = await asyncio.to_thread(load_tower, release)
        except ReleaseError as error:
            self._towerless = release  # new items are shown, but count as like nothing
            log.error("no vectors of new items", extra={"error": str(error)})
            return
        while (known := self._current) and known.release is release and known.needs_tower:
            self._replace(known, await asyncio.to_thread(known.with_tower, tower))

    def _replace(self, known: Catalogue, newer: Catalogue) -> None:
        if self._current is known:  # else another release, or another change, was faster
            self._current = newer

    def _serve(self, catalogue: Catalogue) -> None:
        now = self._current
        if now is not None and now.release.release_id != catalogue.release.release_id:
            self._before = now
        self._current = catalogue

    async def _catalogue_of(self, release_id: str) -> Catalogue:
        """A release with the live items; at once if it is the one that was served before."""
        for known in (self._current, self._before):
            if known is not None and known.release.release_id == release_id:
                if self._live is None or known.live is (live := self._live.current()):
                    return known
                return await asyncio.to_thread(known.with_live, live)
        return await asyncio.to_thread(self._load, release_id)

    def _load(self, release_id: str) -> Catalogue:
        try:
            release = Release(self._root / release_id)
            release.verify()
        except ReleaseError as error:
            raise FailedPrecondition(str(error)) from None
        # Read now what requests read, so that none of them pays for it.
        _ = release.items.row_of, release.popular_rows, release.item_vectors, release.user_rows
        catalogue = Catalogue.of(release)
        _ = catalogue.genres, catalogue.creators
        if self._live is None:
            return catalogue
        catalogue = catalogue.with_live(self._live.current())
        try:
            needed = catalogue.needs_tower
            return catalogue.with_tower(load_tower(release)) if needed else catalogue
        except ReleaseError as error:
            raise FailedPrecondition(str(error)) from None


def _settle(release_id: str, report: ProbeReport) -> None:
    """Logs what was found; raises `FailedPrecondition` if any of it is bad."""
    for check in report.checks:
        extra = {"release_id": release_id, "check": check.name, "detail": check.detail}
        log.log(logging.INFO if check.passed else logging.ERROR, "probed", extra=extra)
    report.require()
