"""The releases a service holds in memory, each in the form that the service needs."""

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from models.release import ReleaseError
from services.common.errors import FailedPrecondition

PATIENCE_SECONDS = 0.25
"""What a live request waits for a load: another release may be at hand."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

log = logging.getLogger(__name__)


class HasReleaseId(Protocol):
    @property
    def release_id(self) -> str: ...


Loaded = TypeVar("Loaded", bound=HasReleaseId)


def _nothing(_: object) -> None:
    pass


class ReleaseCache(Generic[Loaded]):
    """Loads releases on demand and keeps the most recently used ones.

    Loading runs in a thread, one release at a time; calls that want the same release share one
    load. A failed load is not remembered: the next call tries again.

    Args:
        load: opens a release by its id; blocks; raises `ReleaseError` when it cannot.
        capacity: releases that are kept.
        on_load: called with a release that was loaded.
        on_drop: called with the id of a release that was let go.
    """

    def __init__(
        self,
        load: Callable[[str], Loaded],
        capacity: int,
        on_load: Callable[[Loaded], None] = _nothing,
        on_drop: Callable[[str], None] = _nothing,
    ) -> None:
        self._load = load
        self._capacity = capacity
        self._on_load = on_load
        self._on_drop = on_drop
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Loaded]] = {}
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="release-loader")

    async def get(self, release_id: str, patience: float | None = None) -> Loaded:
        """A release, from memory if it is there.

        Args:
            patience: seconds to wait for a load, which goes on; None waits to its end.

        Raises:
            FailedPrecondition: the release is missing or damaged, or not loaded yet.
        """
        loaded = self._loaded.get(release_id)
        if loaded is not None:
            self._loaded.move_to_end(release_id)
            return loaded
        if not _PLAIN_NAME.fullmatch(release_id):
            raise FailedPrecondition(f"release_id: no release {release_id!r}")
        loading = self._loading.get(release_id)
        if loading is None:
            loading = asyncio.create_task(self._load_and_keep(release_id))
            self._loading[release_id] = loading
            loading.add_done_callback(lambda _: self._loading.pop(release_id))
        try:
            # Shielded: a caller whose deadline passes must not cancel the load of the others.
            async with asyncio.timeout(patience):
                return await asyncio.shield(loading)
        except TimeoutError:
            raise FailedPrecondition(f"release {release_id} is not loaded here yet") from None
        except (ReleaseError, OSError) as error:
            raise FailedPrecondition(f"release {release_id} cannot be loaded: {error}") from error

    async def _load_and_keep(self, release_id: str) -> Loaded:
        loop = asyncio.get_running_loop()
        loaded = await loop.run_in_executor(self._executor, self._load, release_id)
        self.keep(loaded)
        return loaded

    def keep(self, loaded: Loaded) -> None:
        """Adds a release that is loaded already; drops the least recently used one if full."""
        self._loaded[loaded.release_id] = loaded
        self._on_load(loaded)
        while len(self._loaded) > self._capacity:
            dropped, _ = self._loaded.popitem(last=False)
            self._on_drop(dropped)
            log.info("release dropped from memory", extra={"release_id": dropped})
        log.info("release loaded", extra={"release_id": loaded.release_id})
