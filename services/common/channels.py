"""Client side of internal calls: one channel a service, made at start, closed at stop."""

import json
from collections.abc import Sequence

from grpc import aio

from services.common.server import channel_options
from services.common.telemetry import REQUEST_ID_HEADER, request_id


def open_channel(addresses: Sequence[str]) -> aio.Channel:
    """Opens a channel over one or several `host:port` addresses.

    A call that fails with UNAVAILABLE before it was processed is tried again, twice at most, within
    its own deadline; the internal calls are all idempotent.

    Args:
        addresses: where replicas of the service listen; calls go round. A single DNS name may
            stand for many.
    """
    if len(addresses) == 1:
        host = addresses[0].rpartition(":")[0]
        target = addresses[0] if _is_ipv4(host) else f"dns:///{addresses[0]}"
    else:
        target = "ipv4:" + ",".join(addresses)
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.01s",
                    "maxBackoff": "0.1s",
                    "backoffMultiplier": 3,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
    return aio.insecure_channel(
        target,
        options=[
            *channel_options(),
            ("grpc.service_config", json.dumps(config)),
            # A service that was restarted must be found again at once, not after a long backoff.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
        ],
    )


def _is_ipv4(host: str) -> bool:
    return host.replace(".", "").isdigit()


def call_metadata() -> tuple[tuple[str, str], ...]:
    """Metadata of an outgoing call: the id of the request being served."""
    current = request_id.get()
    return ((REQUEST_ID_HEADER, current),) if current else ()
