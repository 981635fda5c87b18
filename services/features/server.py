"""Wires the features service: the event log, the online store, and what goes between them."""

import asyncio
import logging

from grpc import aio

from services.common import stored
from services.common.collected import CollectedReleases, Sweeper
from services.common.database import open_database
from services.common.erased import Tombstone
from services.common.errors import FailedPrecondition
from services.common.leases import Lease
from services.common.live_items import LiveItemTable
from services.common.releases import ReleaseRegistry
from services.common.slates import SlateLog, erase_slates
from services.features.async_log import AsyncEventLog
from services.features.codec import encode_trend
from services.features.erasure import UserEraser
from services.features.event_log import EventLog, erase_events
from services.features.items import ItemUpserts
from services.features.offline import OfflineSessions
from services.features.offline_parts import SessionParts
from services.features.publisher import SessionPublisher
from services.features.recorder import EventRecorder
from services.features.release_loader import ReleaseLoader
from services.features.repo.config import repo_config
from services.features.repo.definitions import SESSION_FOLDER
from services.features.retention import LEASE_SECONDS, Retention
from services.features.service import FeatureServicer
from services.features.settings import FeaturesSettings
from services.features.store import FeastStore
from services.features.trends import LiveTrend
from services.features.user_table import UserTable, erase_user
from services.features.user_upserts import UserUpserts
from services.features.users import UserReader
from tandem.features.v1 import features_pb2_grpc

_CLOCKS_DIFFER_SECONDS = 1.0  # of who serves slates and who erases

log = logging.getLogger(__name__)


class FeaturesService:
    """Serves `FeatureService`."""

    names = ("tandem.features.v1.FeatureService",)

    def __init__(self, settings: FeaturesSettings) -> None:
        self._engine = open_database(settings.database_url)
        self._store = FeastStore(repo_config(settings))
        self._log = AsyncEventLog(EventLog(self._engine), settings.seen_cache_items)
        self._offline = OfflineSessions(_session_parts(settings))
        self._publisher = SessionPublisher(self._log, self._store, pushed=self._offline.add)
        self._releases = ReleaseLoader(settings.release_root, self._store, self._log.erased)
        self._trend = LiveTrend(self._engine, encode_trend, settings.trend_items)
        self._registry = ReleaseRegistry(self._engine)
        self._eraser = UserEraser(
            self._engine,
            self._log,
            self._publisher,
            tables={
                "events": erase_events,
                "users": erase_user,
                "stored_lists": stored.delete_user,
                "slates": erase_slates,
            },
            # Slates once more: one that was answered just before may be written after.
            outside=[self._erase_online, self._erase_offline, self._erase_slates],
        )
        lease = Lease(self._engine, "retention", LEASE_SECONDS)
        self._retention = Retention(self._log, self._publisher, lease, settings.retention_days)
        self._collected = CollectedReleases(self._engine)
        self._sweeper = Sweeper(self._unneeded, self._drop)

    def register(self, server: aio.Server) -> None:
        features_pb2_grpc.add_FeatureServiceServicer_to_server(
            FeatureServicer(
                UserReader(self._log, self._store, self._publisher, self._releases),
                EventRecorder(self._log, self._publisher, stored=self._trend.wake),
                self._releases,
                self._store,
                UserUpserts(self._log, UserTable(self._engine)),
                self._eraser,
                self._trend,
                ItemUpserts(self._log, LiveItemTable(self._engine)),
                self._sweeper.settled,
            ),
            server,
        )

    async def start(self) -> None:
        await self._store.open()
        await self._eraser.finish_pending()
        self._offline.start()
        await self._trend.start()
        active = await asyncio.to_thread(self._registry.active)
        if active is not None:
            await self._prepare(active)
        self._retention.start()
        self._sweeper.start()

    async def close(self) -> None:
        await self._sweeper.close()
        await self._retention.close()
        await self._eraser.close()
        await self._publisher.close()
        await self._releases.close()
        await self._log.close()
        await self._trend.close()
        await self._offline.close()
        await self._store.close()
        self._engine.dispose()

    async def _erase_online(self, user_id: str, _: Tombstone) -> None:
        """From the online store, where every release that was ever prepared may have a row."""
        known = {release.release_id for release in await self._log.read(self._registry.list)}
        known.update(await self._log.read(self._collected.with_rows))
        await self._store.erase_user(user_id, sorted(known | self._releases.prepared))

    async def _erase_offline(self, user_id: str, tombstone: Tombstone) -> None:
        await self._offline.erase(user_id, tombstone.version)

    async def _erase_slates(self, user_id: str, tombstone: Tombstone) -> None:
        until = tombstone.erased_at + _CLOCKS_DIFFER_SECONDS
        await self._log.write(lambda: SlateLog(self._engine).erase(user_id, until))

    async def _unneeded(self) -> list[str]:
        return await asyncio.to_thread(self._collected.with_rows)

    async def _drop(self, release_id: str) -> None:
        self._releases.forget(release_id)
        await self._store.drop_release(release_id)
        await asyncio.to_thread(self._collected.rows_dropped, release_id)

    async def _prepare(self, release_id: str) -> None:
        try:
            await self._releases.prepare(release_id)
        except FailedPrecondition as error:
            # Events must be taken all the same; reads of this release say what is wrong with it.
            log.error("the active release cannot be served", extra={"why": str(error)})


def _session_parts(settings: FeaturesSettings) -> SessionParts | None:
    if not settings.offline_days:
        return None
    folder = settings.store_root / SESSION_FOLDER
    return SessionParts(folder, settings.offline_days, settings.offline_megabytes << 20)
