"""Wires the features service: the event log, the online store, and what goes between them."""

import asyncio
import logging

from grpc import aio

from services.common.database import open_database
from services.common.errors import FailedPrecondition
from services.common.live_items import LiveItemTable
from services.common.releases import ReleaseRegistry
from services.features.async_log import AsyncEventLog
from services.features.event_log import EventLog
from services.features.items import ItemRecorder
from services.features.publisher import SessionPublisher
from services.features.recorder import EventRecorder
from services.features.release_loader import ReleaseLoader
from services.features.repo.config import repo_config
from services.features.service import FeatureServicer
from services.features.settings import FeaturesSettings
from services.features.store import FeastStore
from services.features.users import UserReader
from tandem.features.v1 import features_pb2_grpc

log = logging.getLogger(__name__)


class FeaturesService:
    """Serves `FeatureService`."""

    names = ("tandem.features.v1.FeatureService",)

    def __init__(self, settings: FeaturesSettings) -> None:
        self._engine = open_database(settings.database_url)
        self._store = FeastStore(repo_config(settings))
        self._log = AsyncEventLog(EventLog(self._engine), settings.seen_cache_items)
        self._publisher = SessionPublisher(self._log, self._store)
        self._releases = ReleaseLoader(settings.release_root, self._store)

    def register(self, server: aio.Server) -> None:
        features_pb2_grpc.add_FeatureServiceServicer_to_server(
            FeatureServicer(
                UserReader(self._log, self._store, self._publisher, self._releases),
                EventRecorder(self._log, self._publisher),
                self._releases,
                self._store,
                ItemRecorder(LiveItemTable(self._engine)),
            ),
            server,
        )

    async def start(self) -> None:
        await self._store.open()
        active = await asyncio.to_thread(ReleaseRegistry(self._engine).active)
        if active is not None:
            await self._prepare(active)

    async def close(self) -> None:
        await self._publisher.close()
        await self._releases.close()
        await self._log.close()
        await self._store.close()
        self._engine.dispose()

    async def _prepare(self, release_id: str) -> None:
        try:
            await self._releases.prepare(release_id)
        except FailedPrecondition as error:
            # Events must be taken all the same; reads of this release say what is wrong with it.
            log.error("the active release cannot be served", extra={"why": str(error)})
