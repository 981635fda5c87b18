"""Logs as JSON lines on stderr, the request id of the call being served, and Prometheus metrics."""

import logging
import sys
import uuid
from contextvars import ContextVar

from prometheus_client import Counter, Histogram, start_http_server
from pythonjsonlogger.json import JsonFormatter

REQUEST_ID_HEADER = "x-request-id"

request_id: ContextVar[str] = ContextVar("request_id", default="")

CALLS = Counter("tandem_calls", "gRPC calls served.", ["method", "code"])
CALL_SECONDS = Histogram(
    "tandem_call_seconds",
    "Wall time of gRPC calls.",
    ["method"],
    buckets=[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
)


def new_request_id() -> str:
    return uuid.uuid4().hex


class _RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


def configure_logging(service: str, level: str) -> None:
    """Sends all logging of the process to stderr as JSON lines that name the service."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_RequestIdFilter())
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}{request_id}",
            style="{",
            static_fields={"service": service},
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)


def serve_metrics(host: str, port: int) -> None:
    """Serves the process's metrics over HTTP; does nothing when `port` is 0."""
    if port:
        start_http_server(port, addr=host)
