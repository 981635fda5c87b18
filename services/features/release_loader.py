"""Pushes the rows of a release to the online store, once."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from models.release import Release, ReleaseError
from services.common.errors import FailedPrecondition, Unavailable
from services.features.release_rows import (
    RowCounts,
    UserProfile,
    chunks,
    item_metadata,
    user_profiles,
)
from services.features.store import FeatureStore

_ROWS_A_PUSH = 100  # about 10 ms, for which a live read may have to wait
_LOOK_AGAIN_SECONDS = 5.0

Erased = Callable[[Collection[str]], Awaitable[Collection[str]]]
"""Tells which of some users were erased."""

log = logging.getLogger(__name__)


class ReleaseLoader:
    """Makes releases readable from the online store.

    Args:
        root: folder that holds one subfolder a release.
        store: where rows go.
        erased: whose rows do not.
        look_again: seconds after which a release in use is looked for again: a store that keeps
            nothing on disk is empty when it comes back.
    """

    def __init__(
        self,
        root: Path,
        store: FeatureStore,
        erased: Erased,
        look_again: float = _LOOK_AGAIN_SECONDS,
    ) -> None:
        self._root = root
        self._store = store
        self._erased = erased
        self._look_again = look_again
        self._loads: dict[str, asyncio.Task[RowCounts]] = {}
        self._looked: dict[str, float] = {}
        self._looking: set[asyncio.Task[None]] = set()

    async def prepare(self, release_id: str) -> RowCounts:
        """Pushes a release unless all its rows are there; callers at the same time share one push.

        Raises:
            FailedPrecondition: there is no such release, or it is damaged.
            Unavailable: the online store is down.
        """
        load = self._loads.get(release_id)
        if load is None:
            load = self._loads[release_id] = asyncio.create_task(self._prepare(release_id))
            load.add_done_callback(lambda task: self._forget_failure(release_id, task))
        elif time.monotonic() - self._looked.get(release_id, math.inf) > self._look_again:
            self._looked[release_id] = time.monotonic()
            look = asyncio.create_task(self._forget_lost(release_id))
            self._looking.add(look)
            look.add_done_callback(self._looking.discard)
        return await asyncio.shield(load)

    @property
    def prepared(self) -> set[str]:
        """Ids of the releases that were asked for since the start."""
        return {*self._loads, *self._looked}

    def forget(self, release_id: str) -> None:
        """Ends the push of a release that is no more, and knows nothing of it from then on."""
        if load := self._loads.pop(release_id, None):
            load.cancel()
        self._looked.pop(release_id, None)

    async def close(self) -> None:
        """Ends pushes in progress; the next `prepare` starts them again."""
        tasks = [*self._loads.values(), *self._looking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _forget_lost(self, release_id: str) -> None:
        """Lets the next `prepare` push a release that the store has lost."""
        try:
            lost = await self._store.read_release(release_id) is None
        except Unavailable:
            return  # it may be empty when it is back: then is the time to look
        if lost:
            log.warning("release lost by the online store", extra={"release_id": release_id})
            self._loads.pop(release_id, None)

    def _forget_failure(self, release_id: str, load: asyncio.Task[RowCounts]) -> None:
        if load.cancelled() or load.exception() is not None:
            self._loads.pop(release_id, None)

    async def _prepare(self, release_id: str) -> RowCounts:
        counts = await self._store.read_release(release_id)
        if counts is None:
            release = await asyncio.to_thread(_open, self._root, release_id)
            counts = await self._push(release)
            log.info("release pushed", extra={"release_id": release_id, "items": counts.items})
        self._looked[release_id] = time.monotonic()
        return counts

    async def _push(self, release: Release) -> RowCounts:
        n_users = 0
        for rows in chunks(len(release.users), _ROWS_A_PUSH):
            users = await self._not_erased(user_profiles(release, rows))
            await self._store.push_users(release.release_id, users)
            n_users += len(users)
        counts = RowCounts(n_users, len(release.items))
        for rows in chunks(counts.items, _ROWS_A_PUSH):
            await self._store.push_items(release.release_id, item_metadata(release, rows))
        await self._store.complete_release(release.release_id, counts)
        return counts

    async def _not_erased(self, users: list[UserProfile]) -> list[UserProfile]:
        erased = await self._erased([user.user_id for user in users])
        return [user for user in users if user.user_id not in erased]


def _open(root: Path, release_id: str) -> Release:
    if Path(release_id).name != release_id:
        raise FailedPrecondition(f"release_id: {release_id!r} is not the name of a release")
    try:
        release = Release(root / release_id)
        _ = release.items, release.users, release.user_factors, release.item_vectors
    except (ReleaseError, OSError, ValueError, KeyError) as error:
        raise FailedPrecondition(f"release_id: release {release_id!r}: {error}") from error
    return release
