"""Which release serves: has it prepared and probed, switches, follows switches."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from models.release import Release
from services.common.errors import DomainError, FailedPrecondition, Unavailable
from services.common.live_view import LiveItems
from services.common.releases import ReleaseRecord, ReleaseRegistry
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.catalogue_loader import CatalogueLoader
from services.orchestrator.preparation import Preparable, Preparation
from services.orchestrator.probe import ProbeReport, ReleaseProbe
from services.orchestrator.serving import Serving

_LIVE_SECONDS = 0.1
"""How often it is checked whether live items changed; the check is one comparison."""

_KEEP_SECONDS = 10.0
"""How often services are asked whether they still hold what serves, and what did before."""

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


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
        self._loader = CatalogueLoader(root, live)
        self._preparation = Preparation(services, prepare_seconds)
        self._poll_seconds = poll_seconds
        self._probe = probe
        self._serving = Serving(live)
        self._follows_live_items = live is not None
        self._accepting = asyncio.Lock()
        self._switching = asyncio.Lock()
        # Of its own: under load, what requests do off the event loop waits in the common one.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="releases")
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
        return self._serving.catalogue()

    def before(self) -> Catalogue | None:
        """What was served before the last switch, once that is in memory."""
        return self._serving.before

    async def lay_over(self) -> None:
        """Lays the live items over the release again if they changed; works off the event loop."""
        await self._serving.lay_over()

    async def start(self) -> None:
        """Activates the release waiting for it, else loads the active one, else waits for one."""
        pending = await self._off_loop(self._registry.pending)
        try:
            await self._follow()
        except FailedPrecondition as error:  # calls to roll back are answered before the start ends
            log.error("the active release cannot be loaded", extra={"error": str(error)})
        if pending is not None:
            await self._activate_pending(pending)
        repeated = {
            self._follow: self._poll_seconds,
            self._activate_first: self._poll_seconds,
            self._keep_ready: _KEEP_SECONDS,
        }
        if self._follows_live_items:
            repeated[self._serving.follow_live_items] = _LIVE_SECONDS
        self._followers = [asyncio.create_task(_repeat(*each)) for each in repeated.items()]
        await self._serving.begun.wait()

    async def close(self) -> None:
        for follower in self._followers:
            follower.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)
        await self._preparation.close()
        self._threads.shutdown(wait=False)

    async def check_known(self, release_id: str) -> None:
        """Refuses what is no release of this system, before its folder is looked for.

        Raises:
            NotFound: no such release.
        """
        await self._off_loop(self._registry.get, release_id)

    async def activate(self, release_id: str) -> ReleaseRecord:
        """Prepares all services for a release, probes it, then switches to it.

        One that has served before is not probed: rolling back must be fast, and never fail for
        what was good enough then. What was just served is in memory, here and in the services,
        and does not wait for those that are slow, nor for another release that is being probed.
        Whatever is raised, the old release still serves.

        Raises:
            NotFound: no such release.
            FailedPrecondition: the release is damaged, a service refuses it, or it failed a check;
                unless it has served before, it is marked as refused.
            Unavailable: it never served, and a service could not be reached in time.
        """
        if await self._has_served(release_id):
            return await self._switch_to(await self._ready(release_id))
        async with self._accepting:  # one at a time, for a probe takes the time of answers
            served = await self._has_served(release_id)  # it may have been accepted meanwhile
            catalogue = await (self._ready if served else self._accept)(release_id)
            return await self._switch_to(catalogue)

    async def releases(self) -> list[ReleaseRecord]:
        """All releases, newest first."""
        return await self._off_loop(self._registry.list)

    async def rollback(self) -> ReleaseRecord:
        """Activates the release that served before.

        Raises:
            FailedPrecondition: there is none.
        """
        return await self.activate(await self._off_loop(self._registry.previous))

    async def _activate_pending(self, release_id: str) -> None:
        try:
            await self.activate(release_id)
        except (FailedPrecondition, Unavailable) as error:
            log.error("not activated", extra={"release_id": release_id, "error": str(error)})

    async def _activate_first(self) -> None:
        """Activates the first release of all, which may be built while a start waits for it."""
        if self._serving.current is None:
            pending = await self._off_loop(self._registry.pending)
            if pending is not None:
                await self._activate_pending(pending)

    async def _has_served(self, release_id: str) -> bool:
        return (await self._off_loop(self._registry.get, release_id)).has_served

    async def _accept(self, release_id: str) -> Catalogue:
        await self._off_loop(self._registry.reconsider, release_id)
        try:
            catalogue = await self._probed(release_id)
        except FailedPrecondition as error:
            await self._off_loop(self._registry.refuse, release_id, str(error))
            raise FailedPrecondition(f"release {release_id} was refused: {error}") from None
        await self._off_loop(self._registry.pass_probe, release_id)
        return catalogue

    async def _probed(self, release_id: str) -> Catalogue:
        catalogue = await asyncio.to_thread(self._loader.load, release_id)
        release = catalogue.release
        current = self._serving.current
        serving = None if current is None else current.release
        if self._probe is not None:
            # Before any service takes it in: a release that is broken in itself stays out.
            _settle(release_id, await asyncio.to_thread(self._probe.inspect, release, serving))
        prepared = await self._preparation.prepare(release_id)
        if self._probe is not None:
            _settle(release_id, await self._probe.ask(release, prepared))
        return catalogue

    async def _ready(self, release_id: str) -> Catalogue:
        catalogue, _ = await asyncio.gather(
            self._catalogue_of(release_id), self._preparation.confirm(release_id)
        )
        return catalogue

    async def _switch_to(self, catalogue: Catalogue) -> ReleaseRecord:
        """Serves a release, then writes that down, which may wait for those who write events."""
        release_id = catalogue.release.release_id
        async with self._switching:
            serving = self._serving
            current, before = serving.current, serving.before
            serving.serve(catalogue)
            try:
                record = await self._off_loop(self._registry.activate, release_id)
            except Exception:
                serving.current, serving.before = current, before
                raise
        log.info("activated", extra={"release_id": release_id})
        return record

    async def _follow(self) -> None:
        active = await self._off_loop(self._registry.active)
        now = self._serving.current
        if active is None or (now is not None and active == now.release.release_id):
            return
        catalogue = await self._catalogue_of(active)
        async with self._switching:
            if active != await self._off_loop(self._registry.active):
                return  # it was a switch of this process that was not written down yet
            self._serving.serve(catalogue)
        log.info("followed", extra={"release_id": active})

    async def _keep_ready(self) -> None:
        """Has what serves, and what would be rolled back to, in memory here and everywhere."""
        keeping = []
        with suppress(FailedPrecondition):  # there is none before the first
            previous = await self._off_loop(self._registry.previous)
            keeping.append(self._keep_previous(previous))
        if (now := self._serving.current) is not None:
            keeping.append(self._preparation.keep(now.release.release_id))
        # All of them, before any failure is reported.
        for failure in await asyncio.gather(*keeping, return_exceptions=True):
            if failure is not None:
                raise failure

    async def _keep_previous(self, release_id: str) -> None:
        if self._serving.held(release_id) is None:
            before = self._serving.before
            catalogue = await asyncio.to_thread(self._loader.load, release_id)
            if self._serving.before is before:  # else there was a switch
                self._serving.before = catalogue
        await self._preparation.keep(release_id)

    async def _catalogue_of(self, release_id: str) -> Catalogue:
        """A release with the live items; at once if it serves or was served before."""
        if known := self._serving.held(release_id):
            return await self._off_loop(self._loader.refresh, known)
        return await asyncio.to_thread(self._loader.load, release_id)

    async def _off_loop(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *args, **kwargs))


async def _repeat(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    """For good, and says once what fails: a task that ended would follow nothing any more."""
    said = ""
    while True:
        try:
            await work()
            said = ""
        except Exception as error:
            if said != str(error):
                said, unexpected = str(error), not isinstance(error, DomainError)
                log.warning("%s: %s", work.__name__, error, exc_info=unexpected)
        await asyncio.sleep(seconds)


def _settle(release_id: str, report: ProbeReport) -> None:
    """Logs what was found; raises `FailedPrecondition` if any of it is bad."""
    for check in report.checks:
        extra = {"release_id": release_id, "check": check.name, "detail": check.detail}
        log.log(logging.INFO if check.passed else logging.ERROR, "probed", extra=extra)
    report.require()
