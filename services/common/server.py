"""The one server bootstrap: health, reflection, interceptors, metrics, signals, graceful drain."""

import asyncio
import gc
import logging
import signal
from collections.abc import Sequence
from typing import Any, Protocol

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from services.common.interceptors import standard_interceptors
from services.common.settings import ServiceSettings
from services.common.telemetry import configure_logging, serve_metrics

MAX_MESSAGE_BYTES = 16 * 1024 * 1024

LIVENESS = "liveness"
"""Name under which `grpc.health.v1` says whether the process answers at all. Every other name says
whether the service is ready, which one that waits for its first release is not."""

log = logging.getLogger(__name__)


class Service(Protocol):
    """What a service brings to the bootstrap."""

    @property
    def names(self) -> Sequence[str]:
        """Full names of the gRPC services it serves."""

    def register(self, server: aio.Server) -> None:
        """Adds its servicers to the server."""

    async def start(self) -> None:
        """Returns once the service can answer; waits for what it depends on, however long."""

    async def close(self) -> None:
        """Releases what `start` opened. Called after the last call has ended."""


class ServiceServer:
    """Runs one service on one port. Health is SERVING only between `start` and `stop`, under the
    name `LIVENESS` from the first moment on.

    Args:
        service: the service to run; its `start` may take long, health says NOT_SERVING meanwhile.
        settings: address, limits and deadlines.
    """

    def __init__(self, service: Service, settings: ServiceSettings) -> None:
        self._service = service
        self._settings = settings
        self._health = health_aio.HealthServicer()
        self._server = aio.server(
            interceptors=standard_interceptors(
                settings.max_concurrent_requests, settings.default_deadline_seconds
            ),
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),
                *_age_options(settings.max_connection_seconds),
            ],
        )
        self.port = 0

    async def start(self) -> None:
        """Listens, then waits until the service is ready, then reports SERVING."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._health.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
        self._service.register(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*self._service.names, "grpc.health.v1.Health", reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self.port = self._server.add_insecure_port(f"{self._settings.host}:{self._settings.port}")
        await self._server.start()
        log.info("listening", extra={"address": f"{self._settings.host}:{self.port}"})
        await self._service.start()
        # What was loaded stays for good: without this, each full collection walks all of it, and
        # stops all calls for a quarter of a second.
        gc.collect()
        gc.freeze()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        log.info("serving")

    async def stop(self) -> None:
        """Reports NOT_SERVING, lets calls in progress finish, closes the service."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self._settings.drain_seconds)
        await self._service.close()
        log.info("stopped")

    async def _set_health(self, status: int) -> None:
        for name in ("", *self._service.names):
            await self._health.set(name, status)


async def _run_until_signal(service: Service, settings: ServiceSettings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    serve_metrics(settings.host, settings.metrics_port)
    server = ServiceServer(service, settings)
    starting = asyncio.create_task(server.start())
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()  # raises what start() raised
        await waiting
    else:
        starting.cancel()
    await server.stop()


def run(name: str, service: Service, settings: ServiceSettings) -> None:
    """Runs a service in this process until SIGTERM or SIGINT.

    Args:
        name: the service's short name, for its logs.
        service: what to run.
        settings: its settings.
    """
    configure_logging(name, settings.log_level)
    asyncio.run(_run_until_signal(service, settings))


def _age_options(seconds: float) -> list[tuple[str, Any]]:
    return [("grpc.max_connection_age_ms", round(seconds * 1e3))] if seconds else []


def channel_options() -> list[tuple[str, Any]]:
    """Options that both ends of every internal channel share."""
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
