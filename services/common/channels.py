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
            stand for many: it is looked up again when a connection ends. So may any other target
            that gRPC knows, such as `dns://SERVER/NAME:PORT`.
    """
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
        _target(addresses),
        options=[
            *channel_options(),
            ("grpc.service_config", json.dumps(config)),
            # A service that was restarted must be found again at once, not after a long backoff.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
            # Else a name is looked up twice a minute at most: while all replicas behind it are
            # replaced one after the other, none that is known would be left.
            ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        ],
    )


def _target(addresses: Sequence[str]) -> str:
    if len(addresses) > 1:
        return "ipv4:" + ",".join(addresses)
    host = addresses[0].rpartition(":")[0]
    is_ipv4 = host.replace(".", "").isdigit()
    return addresses[0] if is_ipv4 or "://" in addresses[0] else f"dns:///{addresses[0]}"


def call_metadata() -> tuple[tuple[str, str], ...]:
    """Metadata of an outgoing call: the id of the request being served."""
    current = request_id.get()
    return ((REQUEST_ID_HEADER, current),) if current else ()
