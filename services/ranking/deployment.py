"""A replica as a Ray Serve deployment. Ray Serve calls its methods by the names of the RPCs."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import grpc
from grpc_health.v1 import health_pb2
from ray import serve
from ray.serve.grpc_util import RayServegRPCContext

from services.common.errors import DomainError, NotFound
from services.common.telemetry import REQUEST_ID_HEADER, request_id
from services.ranking.settings import RankingSettings
from tandem.ranking.v1 import ranking_pb2

NAME = "ranking"
GRPC_SERVICE = ranking_pb2.DESCRIPTOR.services_by_name["RankingService"].full_name

log = logging.getLogger(__name__)


class RankingDeployment:
    """One replica. It is ready once it holds the active release, if there is one."""

    def __init__(self, settings: RankingSettings) -> None:
        # Here, because the process that deploys can do without torch, which is slow to import.
        from services.ranking.replica import Replica

        self._replica = Replica(settings)

    async def Rank(
        self, request: ranking_pb2.RankRequest, grpc_context: RayServegRPCContext
    ) -> ranking_pb2.RankResponse:
        with _call(grpc_context):
            return await self._replica.servicer.Rank(request, grpc_context)

    async def Attribute(
        self, request: ranking_pb2.AttributeRequest, grpc_context: RayServegRPCContext
    ) -> ranking_pb2.AttributeResponse:
        with _call(grpc_context):
            return await self._replica.servicer.Attribute(request, grpc_context)

    async def PrepareRelease(
        self, request: ranking_pb2.PrepareReleaseRequest, grpc_context: RayServegRPCContext
    ) -> ranking_pb2.PrepareReleaseResponse:
        with _call(grpc_context):
            response = await self._replica.servicer.PrepareRelease(request, grpc_context)
            await self._prepare_all_replicas(request.release_id)
            return response

    async def Check(
        self, request: health_pb2.HealthCheckRequest, grpc_context: RayServegRPCContext
    ) -> health_pb2.HealthCheckResponse:
        """`grpc.health.v1.Health/Check`: a replica that answers is ready."""
        with _call(grpc_context):
            if request.service not in ("", GRPC_SERVICE):
                raise NotFound(f"service: no service {request.service!r}")
            return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

    async def Watch(
        self, _request: health_pb2.HealthCheckRequest, grpc_context: RayServegRPCContext
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Unimplemented, so that clients use `Check`: a stream would hold one of the slots."""
        grpc_context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        grpc_context.set_details("use Check")
        raise CallFailed("use Check")
        yield

    async def prepare(self, release_id: str) -> None:
        """Loads a release; called on every replica by the one that was asked to prepare it."""
        await self._replica.servicer.prepare(release_id)

    async def _prepare_all_replicas(self, release_id: str) -> None:
        own = serve.get_replica_context()
        handle = serve.get_deployment_handle(own.deployment, own.app_name)
        outcomes = await handle.broadcast("prepare", release_id).results_async(
            return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                # It loads the release on first use, or it is being replaced.
                log.warning("a replica did not prepare %s: %s", release_id, outcome)


class CallFailed(Exception):
    """Ends a call whose status is set. One string, for it travels pickled to the fallback proxy."""


@contextmanager
def _call(context: RayServegRPCContext) -> Iterator[None]:
    """Takes over the request id; answers errors as `services.common.interceptors` does."""
    request_id.set(dict(context.invocation_metadata()).get(REQUEST_ID_HEADER, ""))
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
