"""What both clients share: channel options with retries, and errors."""

import json
from typing import Any

import grpc

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TIMEOUT_SECONDS = 5.0
ACTIVATE_TIMEOUT_SECONDS = 600.0
ERASE_TIMEOUT_SECONDS = 60.0
REPLAY_TIMEOUT_SECONDS = 600.0
"""Another release is loaded first; thousands of slates are tried."""

_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "tandem.recommender.v1.RecommenderService"}],
            # Every call is idempotent: reads are, and events carry their own ids.
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


class TandemError(Exception):
    """A call failed.

    Attributes:
        code: the gRPC status.
        details: the server's own words, which name the field at fault for INVALID_ARGUMENT.
        retry_after_ms: how long to wait before trying again, when the server said.
    """

    def __init__(self, error: grpc.RpcError | grpc.aio.AioRpcError) -> None:
        self.code: grpc.StatusCode = error.code()
        self.details: str = error.details() or ""
        trailing: dict[str, Any] = dict(error.trailing_metadata() or ())  # type: ignore[arg-type]
        hint = trailing.get("retry-after-ms")
        self.retry_after_ms = int(hint) if hint else None
        super().__init__(f"{self.code.name}: {self.details}")


def channel_options() -> list[tuple[str, Any]]:
    return [
        ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
