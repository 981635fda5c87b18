"""The ranking servicer as a Ray Serve deployment. Ray Serve calls its methods by RPC name."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import grpc
from grpc_health.v1 import health_pb2
from ray import serve
from ray.serve.grpc_util import RayServegRPCContext

from models.release import ReleaseError
from services.common.database import open_database
from services.common.errors import DomainError, NotFound
from services.common.releases import ReleaseRegistry
from services.common.telemetry import configure_logging
from services.ranking.release_cache import ReleaseCache
from services.ranking.scoring import LoadedRelease, load_release
from services.ranking.service import RankingServicer
from services.ranking.settings import RankingSettings
from tandem.ranking.v1 import ranking_pb2

NAME = "ranking"
GRPC_SERVICE = ranking_pb2.DESCRIPTOR.services_by_name["RankingService"].full_name

log = logging.getLogger(__name__)


@serve.deployment(name=NAME)
class RankingDeployment:
    """One replica. It is ready once it holds the active release, if there is one."""

    def __init__(self, settings: RankingSettings) -> None:
        # Here, because the process that deploys needs no torch, which is slow to import.
        import torch

        configure_logging(NAME, settings.log_level)
        # One request uses one core; other cores are for other replicas.
        torch.set_num_threads(1)
        self._settings = settings
        self._releases = ReleaseCache(self._load, settings.loaded_releases)
        self._servicer = RankingServicer(self._releases)
        self._load_active_release()

    async def Rank(
        self, request: ranking_pb2.RankRequest, grpc_context: RayServegRPCContext
    ) -> ranking_pb2.RankResponse:
        with _errors_as_status(grpc_context):
            return await self._servicer.Rank(request, grpc_context)

    async def PrepareRelease(
        self, request: ranking_pb2.PrepareReleaseRequest, grpc_context: RayServegRPCContext
    ) -> ranking_pb2.PrepareReleaseResponse:
        with _errors_as_status(grpc_context):
            response = await self._servicer.PrepareRelease(request, grpc_context)
            await self._prepare_other_replicas(request.release_id)
            return response

    async def Check(
        self, request: health_pb2.HealthCheckRequest, grpc_context: RayServegRPCContext
    ) -> health_pb2.HealthCheckResponse:
        """`grpc.health.v1.Health/Check`: a replica that answers is ready."""
        with _errors_as_status(grpc_context):
            if request.service not in ("", GRPC_SERVICE):
                raise NotFound(f"service: no service {request.service!r}")
            return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

    async def Watch(
        self, _request: health_pb2.HealthCheckRequest, grpc_context: RayServegRPCContext
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Unimplemented, which tells clients to use `Check`: a stream would hold a replica's slot."""
        grpc_context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        grpc_context.set_details("use Check")
        raise CallFailed("use Check")
        yield

    async def prepare(self, release_id: str) -> None:
        """Loads a release; called on every replica by the one that was asked to prepare it."""
        await self._releases.get(release_id)

    async def _prepare_other_replicas(self, release_id: str) -> None:
        own = serve.get_replica_context()
        handle = serve.get_deployment_handle(own.deployment, own.app_name)
        outcomes = await handle.broadcast("prepare", release_id).results_async(
            return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                # It loads the release on first use, or it is being replaced.
                log.warning("a replica did not prepare %s: %s", release_id, outcome)

    def _load(self, release_id: str) -> LoadedRelease:
        from models.scorer import TwoTowerScorer

        return load_release(self._settings.release_root / release_id, TwoTowerScorer)

    def _load_active_release(self) -> None:
        engine = open_database(self._settings.database_url)
        active = ReleaseRegistry(engine).active()
        engine.dispose()
        if active is None:
            return
        try:
            self._releases.keep(self._load(active))
        except ReleaseError as error:
            # Up without it, so that another release can be prepared and activated.
            log.error("active release cannot be loaded: %s", error)


class CallFailed(Exception):
    """Ends a call whose status is set. One string, for it travels pickled to the fallback proxy."""


@contextmanager
def _errors_as_status(context: RayServegRPCContext) -> Iterator[None]:
    """Answers domain errors with their status and text, others with INTERNAL and no text."""
    try:
        yield
    except DomainError as error:
        context.set_code(grpc.StatusCode[error.status])
        context.set_details(str(error))
        raise CallFailed(str(error)) from None
    except Exception:
        log.exception("unhandled error")
        context.set_code(grpc.StatusCode.INTERNAL)
        context.set_details("Internal server error")
        raise CallFailed("Internal server error") from None
