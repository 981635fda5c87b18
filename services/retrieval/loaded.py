"""Releases in memory: loaded off the event loop, once, and few at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.history import UserHistory
from models.matrix_factorization import FactorizationConfig, FoldIn
from models.release import Release, ReleaseError
from models.scorer import TwoTowerScorer
from services.common.errors import FailedPrecondition
from services.retrieval.vectors import Space, VectorTable


class UserTower(Protocol):
    """The user side of the two towers."""

    def user_vector(self, user: UserHistory) -> NDArray[np.float32]:
        """(d,) vector; its inner product with an item vector is the model's score."""


@dataclass(frozen=True)
class LoadedRelease:
    """What retrieval needs of a release.

    Attributes:
        release: arrays and item table.
        tower: makes user vectors in tower space.
        fold_in: makes user vectors in matrix-factorization space.
        tables: what each vector collection of the release holds.
    """

    release: Release
    tower: UserTower
    fold_in: FoldIn
    tables: dict[Space, VectorTable]

    @property
    def release_id(self) -> str:
        return self.release.release_id

    def __len__(self) -> int:
        return len(self.release.items)


def load_release(root: Path, release_id: str) -> LoadedRelease:
    """Reads a release folder. Blocks.

    Raises:
        FailedPrecondition: it is missing, incomplete or damaged.
    """
    if not release_id or Path(release_id).name != release_id:
        raise FailedPrecondition(f"release_id: no release {release_id!r}")
    try:
        release = Release(root / release_id)
        release.verify()
        items = release.items
        tables = {
            space: VectorTable(vectors, items.adult, items.available)
            for space, vectors in (
                (Space.TOWER, release.item_vectors),
                (Space.MF, release.item_factors),
            )
        }
        _ = items.row_of, release.neighbour_rows, release.neighbour_scores, release.popular_rows
        return LoadedRelease(release, TwoTowerScorer(release), _fold_in(release), tables)
    except (ReleaseError, OSError) as error:
        raise FailedPrecondition(f"release {release_id} cannot be loaded: {error}") from None


def _fold_in(release: Release) -> FoldIn:
    settings = release.manifest.config.get("factorization", {})
    try:
        return FoldIn(release.item_factors, FactorizationConfig(**settings))
    except TypeError as error:
        raise ReleaseError(f"{release.path}: factorization settings: {error}") from None


class LoadedReleases:
    """The last few releases asked for. Concurrent loads of one release share one load.

    Args:
        load: loads one release; runs in a thread.
        most: releases kept.
        on_load: called when a release was loaded.
        on_evict: called with the id of a release that was let go.
    """

    def __init__(
        self,
        load: Callable[[str], LoadedRelease],
        most: int,
        on_load: Callable[[LoadedRelease], None],
        on_evict: Callable[[str], None],
    ) -> None:
        self._load = load
        self._most = most
        self._on_load = on_load
        self._on_evict = on_evict
        self._loaded: OrderedDict[str, LoadedRelease] = OrderedDict()
        self._loading: dict[str, asyncio.Task[LoadedRelease]] = {}

    async def get(self, release_id: str) -> LoadedRelease:
        """Raises `FailedPrecondition` when the release cannot be loaded."""
        loaded = self._loaded.get(release_id)
        if loaded is not None:
            self._loaded.move_to_end(release_id)
            return loaded
        task = self._loading.get(release_id)
        if task is None:
            task = asyncio.create_task(self._load_one(release_id))
            self._loading[release_id] = task
            task.add_done_callback(lambda _: self._loading.pop(release_id, None))
        # A caller that gives up must not take the load from the others.
        return await asyncio.shield(task)

    async def _load_one(self, release_id: str) -> LoadedRelease:
        loaded = await asyncio.to_thread(self._load, release_id)
        self._loaded[release_id] = loaded
        self._on_load(loaded)
        while len(self._loaded) > self._most:
            evicted, _ = self._loaded.popitem(last=False)
            self._on_evict(evicted)
        return loaded
