"""The ranking service as it runs on one machine, a real process with its own Ray, under control of
a benchmark or a test."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.ports import free_ports
from services.ranking.processes import end_processes, ray_processes

MODULE = "services.ranking"


@dataclass(frozen=True)
class RankingProcess:
    """One running service.

    Attributes:
        driver: the process that was started.
        port, fallback_port: HAProxy's and the fallback proxy's.
        marks: environment variables that all its processes carry.
        environment: its settings.
        stderr: what the driver wrote.
    """

    driver: "subprocess.Popen[bytes]"
    port: int
    fallback_port: int
    marks: dict[str, str]
    environment: dict[str, str]
    stderr: Path

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{self.port}", f"127.0.0.1:{self.fallback_port}"]

    def pids(self, name: str) -> list[int]:
        return [pid for found, pid in ray_processes(self.marks) if found == name]

    @property
    def replica_port(self) -> int:
        """The replica's own gRPC port, which HAProxy forwards to."""
        for port in self.replica_listeners():
            if _is_serving(f"127.0.0.1:{port}"):
                return port
        raise LookupError("the replica serves on none of its ports")

    def replica_listeners(self) -> list[int]:
        """Every port on which the replica listens."""
        (pid,) = self.pids("ranking")
        connections = psutil.Process(pid).net_connections("tcp")
        return [c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN]

    def wait_until_serving(self, seconds: float = 90) -> None:
        """Raises `RuntimeError` when the driver ends or the time is up."""

        def serving() -> bool:
            return self.driver.poll() is not None or _is_serving(self.addresses[0])

        if not until(serving, seconds) or self.driver.poll() is not None:
            raise RuntimeError(self.stderr.read_text())

    def relaunch(self) -> "RankingProcess":
        """Starts the driver anew, as a supervisor would."""
        return replace(self, driver=_launch(self.environment, self.stderr, MODULE))


@contextmanager
def start_ranking(
    state: Path, settings: Mapping[str, str] | None = None, module: str = MODULE
) -> Iterator[RankingProcess]:
    """Starts the service on free ports over `state`'s releases and database; ends it afterwards.

    Args:
        state: folder of `releases` and `tandem.db`.
        settings: further variables `RANKING_*`.
        module: what to run.
    """
    runtime_dir = Path(tempfile.mkdtemp(prefix="rk-", dir="/tmp"))  # short: sockets lie below
    port, fallback_port = free_ports(2)
    marks = {"TANDEM_STATE": str(state), "RANKING_RUNTIME_DIR": str(runtime_dir)}
    environment = {
        **marks,
        "RANKING_PORT": str(port),
        "RANKING_FALLBACK_PORT": str(fallback_port),
        "RANKING_RELEASE_ROOT": str(state / "releases"),
        "RANKING_DATABASE_URL": f"sqlite:///{state / 'tandem.db'}",
        **(settings or {}),
    }
    stderr = runtime_dir / "stderr"
    driver = _launch(environment, stderr, module)
    try:
        yield RankingProcess(driver, port, fallback_port, marks, environment, stderr)
    finally:
        if driver.poll() is None:
            stop(driver)
        end_processes(runtime_dir)
        shutil.rmtree(runtime_dir)


def _launch(environment: dict[str, str], stderr: Path, module: str) -> "subprocess.Popen[bytes]":
    with stderr.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
        )


def stop(driver: "subprocess.Popen[bytes]") -> int:
    """Ends the service with SIGTERM, waits, and returns its exit status."""
    driver.send_signal(signal.SIGTERM)
    return driver.wait(20)


def _is_serving(address: str) -> bool:
    request = health_pb2.HealthCheckRequest(service="tandem.ranking.v1.RankingService")
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=1)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def until(check: Callable[[], bool], seconds: float) -> bool:
    """Whether a condition comes true in time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if check():
            return True
        time.sleep(0.1)
    return False
