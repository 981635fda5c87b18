"""Wires the retrieval service: which sources run, their parts in the answer, and the index."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

import torch
from grpc import aio

from services.common.collected import CollectedReleases, Sweeper
from services.common.database import open_database
from services.common.errors import Unavailable
from services.common.live_items import LiveItemTable
from services.common.live_view import LiveItems
from services.common.release_cache import ReleaseCache
from services.common.releases import ReleaseRegistry
from services.retrieval.index import MilvusIndex
from services.retrieval.index_kinds import IndexPolicy
from services.retrieval.live import LiveVectors
from services.retrieval.loaded import LoadedRelease, load_release
from services.retrieval.merge import Quota
from services.retrieval.retriever import Retriever
from services.retrieval.service import RetrievalServicer
from services.retrieval.settings import RetrievalSettings
from services.retrieval.sources import (
    FriendsSource,
    ItemToItemSource,
    MfAnnSource,
    NewItemsSource,
    PopularSource,
    Source,
    TowerAnnSource,
    TrendingSource,
    ease_table,
    neighbour_table,
    transition_table,
)
from services.retrieval.vectors import VectorIndex
from tandem.retrieval.v1 import retrieval_pb2_grpc

QUOTAS = {
    "tower_ann": Quota(share=0.3, weight=1.0),
    "mf_ann": Quota(share=0.1, weight=0.85),
    "transitions": Quota(share=0.05, weight=0.3),
    "ease": Quota(share=0.05, weight=0.5),
    "neighbours": Quota(share=0.02, weight=0.1),
    "last_item": Quota(share=0.02, weight=0.05),
    "trending": Quota(share=0.02, weight=0.05),
    "friends": Quota(share=0.02, weight=0.05),
    "popular": Quota(share=0.02, weight=0.02),
    "new_items": Quota(share=0.02, weight=0.3),
}
"""The parts of the sources in the answer, chosen on validation events of ml-latest-small.

The tower leads; equal parts lower recall below the tower's own, because the weak sources crowd out
the strong ones. Validation events know no new items: their part only makes sure that some are seen.
"""

_RETRY_SECONDS = 1.0

log = logging.getLogger(__name__)


def candidate_sources(index: VectorIndex) -> list[Source]:
    """All candidate sources, by falling importance."""
    return [
        TowerAnnSource(index),
        MfAnnSource(index),
        ItemToItemSource("transitions", transition_table, seeds=20, decay=0.9),
        ItemToItemSource("ease", ease_table, seeds=20, decay=0.9),
        ItemToItemSource("neighbours", neighbour_table, seeds=10, decay=0.8),
        ItemToItemSource("last_item", neighbour_table, seeds=1, decay=1.0),
        TrendingSource(),
        FriendsSource(),
        PopularSource(),
        NewItemsSource(),
    ]


class RetrievalService:
    """The retrieval service, for `services.common.server`.

    It stays SERVING while Milvus is down: the sources that need no vectors still answer.
    """

    names: Sequence[str] = ("tandem.retrieval.v1.RetrievalService",)

    def __init__(self, settings: RetrievalSettings) -> None:
        self._settings = settings
        self._index: MilvusIndex | None = None
        self._engine = open_database(settings.database_url)
        self._items = LiveItems(LiveItemTable(self._engine))
        self._live = LiveVectors(self._items)
        self._collected = CollectedReleases(self._engine)
        self._sweeper = Sweeper(self._unneeded, self._drop)

    def register(self, server: aio.Server) -> None:
        torch.set_num_threads(1)  # one user vector at a time; more threads only get in the way
        settings = self._settings
        self._index = index = MilvusIndex(
            settings.milvus_uri,
            token=settings.milvus_token.get_secret_value(),
            policy=IndexPolicy(settings.index_kind, settings.flat_up_to, settings.least_recall),
        )
        self._releases = ReleaseCache(
            partial(load_release, settings.release_root),
            settings.releases_held,
            on_load=self._hold,
            on_drop=self._forget,
        )
        retriever = Retriever(candidate_sources(index), {**QUOTAS, **settings.quotas})
        retrieval_pb2_grpc.add_RetrievalServiceServicer_to_server(
            RetrievalServicer(
                self._releases, index, retriever, settings, self._live, self._sweeper.settled
            ),
            server,
        )

    async def start(self) -> None:
        """Prepares the active release, if there is one; waits for Milvus, and says so."""
        await asyncio.to_thread(self._items.start)
        self._sweeper.start()
        active = await asyncio.to_thread(ReleaseRegistry(self._engine).active)
        if active is None:
            return
        loaded = await self._releases.get(active)
        assert self._index is not None
        while True:
            try:
                await self._index.prepare(active, loaded.tables)
                return
            except Unavailable as error:
                log.warning("not ready yet", extra={"reason": str(error)})
                await asyncio.sleep(_RETRY_SECONDS)

    async def close(self) -> None:
        await self._sweeper.close()
        if self._index is not None:
            await self._index.close()
        await asyncio.to_thread(self._items.close)
        self._engine.dispose()

    async def _unneeded(self) -> list[str]:
        assert self._index is not None
        return await self._index.stored(await asyncio.to_thread(self._collected.all))

    async def _drop(self, release_id: str) -> None:
        assert self._index is not None
        await self._index.drop(release_id)

    def _hold(self, loaded: LoadedRelease) -> None:
        assert self._index is not None
        self._index.hold(loaded.release_id, loaded.tables)

    def _forget(self, release_id: str) -> None:
        assert self._index is not None
        self._index.forget(release_id)
