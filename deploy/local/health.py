"""Whether the parts of a running system answer, and what they weigh."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc


@dataclass(frozen=True)
class Process:
    """One process of the system.

    Attributes:
        address: `host:port` it serves on; empty when it serves nobody.
        healthy: it runs, and says so itself where it can be asked.
        rss_mb: resident memory, in MiB.
    """

    name: str
    pid: int
    address: str
    healthy: bool
    rss_mb: float


def is_serving(address: str, timeout: float = 2.0) -> bool:
    """Asks the gRPC health service."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=timeout
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def is_listening(address: str, timeout: float = 2.0) -> bool:
    """Opens and closes a connection: all that can be asked of Milvus Lite, which has no health
    service."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout).close()
    except OSError:
        return False
    return True


def rss_mb(pid: int) -> float:
    """Resident memory in MiB; 0 for a process that is gone."""
    try:
        return round(psutil.Process(pid).memory_info().rss / 2**20, 1)
    except psutil.Error:
        return 0.0


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def marked(marker: str) -> list[psutil.Process]:
    """Processes that carry `TANDEM_STATE=marker` in their environment: those of one system."""
    return [each for each in psutil.process_iter() if _marker_of(each) == marker]


def _marker_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("TANDEM_STATE")
    except (psutil.Error, OSError):
        return None


def end(processes: Sequence[psutil.Process], patience: float) -> None:
    """Asks processes to end, and kills those that have not after `patience` seconds."""
    for process in processes:
        _signal(process, kill=False)
    _, alive = psutil.wait_procs(processes, timeout=patience)
    for process in alive:
        _signal(process, kill=True)
    psutil.wait_procs(alive, timeout=patience)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        pass
