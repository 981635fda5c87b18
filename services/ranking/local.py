"""The ranking service on one machine: its own Ray, its own HAProxy, one application."""

import fcntl
import logging
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psutil
import ray
from ray import serve
from ray.serve.config import HTTPOptions, ProxyLocation, gRPCOptions

from services.common.ports import free_ports
from services.ranking.app import GRPC_SERVICERS, build
from services.ranking.deployment import NAME
from services.ranking.environment import METRICS_PORT
from services.ranking.processes import end_processes
from services.ranking.settings import RankingSettings

LOOPBACK = "127.0.0.1"  # of Ray, only HAProxy is for others: haproxy.sh opens it to them
OBJECT_STORE_BYTES = 80 * 1024 * 1024  # the least Ray accepts comfortably; nothing is stored there
WATCH_SECONDS = 0.5

log = logging.getLogger(__name__)


class LocalError(Exception):
    """The service cannot start or go on; the text says why."""


def run(settings: RankingSettings) -> None:
    """Serves until SIGTERM or SIGINT, then ends every process it started.

    The variables of `environment.ray_environment` must be set already.

    Raises:
        LocalError: the runtime folder or a port is in use, or Ray died.
    """
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        raise SystemExit(0)  # ends a start; where Ray swallows it, the event ends what follows

    _on_signals(stop)
    try:
        with _only_user(settings.runtime_dir), _own_ray(settings):
            _on_signals(stop)  # again: Ray installs handlers of its own
            _deploy(settings)
            log.info("serving", extra={"address": f"{settings.host}:{settings.port}"})
            while not stopping.wait(WATCH_SECONDS):
                _check_alive()
    except SystemExit:
        # While Ray waits for something it turns any exit into one with status 1.
        if not stopping.is_set():
            raise


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


@contextmanager
def _only_user(runtime_dir: Path) -> Iterator[None]:
    runtime_dir.mkdir(parents=True, exist_ok=True)
    runtime_dir.chmod(0o700)  # HAProxy's admin socket lies below, open to all
    with (runtime_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalError(f"{runtime_dir}: another ranking service runs here") from None
        yield


@contextmanager
def _own_ray(settings: RankingSettings) -> Iterator[None]:
    """A Ray that belongs to this process: none of its processes outlives the block."""
    for name, pid in end_processes(settings.runtime_dir):
        log.warning(
            "ended a process left over from an earlier run", extra={"left": name, "pid": pid}
        )
    for folder in ("ray", "ha"):
        shutil.rmtree(settings.runtime_dir / folder, ignore_errors=True)
    (settings.runtime_dir / "ha").mkdir()
    _check_free(settings.host, (settings.port, settings.fallback_port))
    try:
        ray.init(
            address="local",  # never joins a Ray that runs already
            num_cpus=settings.max_replicas,
            num_gpus=0,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            _temp_dir=str(settings.runtime_dir / "ray"),
            _node_ip_address=LOOPBACK,
            _metrics_export_port=int(os.environ[METRICS_PORT]),
        )
        yield
    finally:
        _on_signals(signal.SIG_IGN)
        # Before Ray's own shutdown, which waits for each of them in turn.
        end_processes(settings.runtime_dir)
        ray.shutdown()


def _deploy(settings: RankingSettings) -> None:
    (http_port,) = free_ports(1)
    serve.start(
        proxy_location=ProxyLocation.HeadOnly,
        http_options=HTTPOptions(host=LOOPBACK, port=http_port),
        grpc_options=gRPCOptions(
            port=settings.port,
            grpc_servicer_functions=GRPC_SERVICERS,
            request_timeout_s=settings.default_deadline_seconds,
        ),
    )
    try:
        serve.run(build({}), name=NAME)
    except RuntimeError as error:
        raise LocalError(f"the replicas do not start: {error}") from error


def _check_free(host: str, ports: Sequence[int]) -> None:
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise LocalError(f"{host}:{port}: {error.strerror}") from None


def _check_alive() -> None:
    running = {
        child.name()
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE
    }
    missing = {"gcs_server", "raylet"} - running
    if missing:
        raise LocalError(f"Ray died: no {' and no '.join(sorted(missing))}")
