"""What happens around every call of every service, outermost first.

`AccessInterceptor` (request id, metrics, log line) -> `ErrorInterceptor` (domain errors become
statuses) -> `AdmissionInterceptor` (sheds load) -> `DeadlineInterceptor` -> the servicer.
"""

from __future__ import annotations  # grpc's generics exist in its stubs only

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc
from grpc import aio

from services.common.admission import Admission
from services.common.deadlines import deadline_in
from services.common.errors import DomainError, Overloaded
from services.common.telemetry import (
    CALL_SECONDS,
    CALLS,
    REQUEST_ID_HEADER,
    new_request_id,
    request_id,
)

RETRY_AFTER_HEADER = "retry-after-ms"

log = logging.getLogger(__name__)

Context: TypeAlias = "aio.ServicerContext[Any, Any]"
Continuation: TypeAlias = (
    "Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]]"
)
Handler: TypeAlias = "Callable[[Any, Context], Awaitable[Any]]"


class UnaryInterceptor(aio.ServerInterceptor, ABC):
    """Wraps unary calls and leaves streams (reflection, health watch) alone."""

    async def intercept_service(
        self,
        continuation: Continuation,
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        inner = cast(Handler, handler.unary_unary)
        method = handler_call_details.method

        async def outer(request: Any, context: Context) -> Any:
            return await self.around(inner, method, request, context)

        return grpc.unary_unary_rpc_method_handler(
            outer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    @abstractmethod
    async def around(self, inner: Handler, method: str, request: Any, context: Context) -> Any:
        """Calls `inner(request, context)` and returns its answer."""


class AccessInterceptor(UnaryInterceptor):
    """Takes or makes the request id, counts and times the call, and writes one log line."""

    async def around(self, inner: Handler, method: str, request: Any, context: Context) -> Any:
        sent = dict(context.invocation_metadata() or ()).get(REQUEST_ID_HEADER)
        request_id.set(sent if isinstance(sent, str) and sent else new_request_id())
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        try:
            response = await inner(request, context)
            code = grpc.StatusCode.OK
            return response
        except aio.AbortError:
            code = context.code()
            raise
        finally:
            seconds = time.perf_counter() - started
            CALLS.labels(method, code.name).inc()
            CALL_SECONDS.labels(method).observe(seconds)
            level = logging.DEBUG if code is grpc.StatusCode.OK else logging.INFO
            log.log(
                level,
                "call",
                extra={"method": method, "code": code.name, "millis": round(seconds * 1e3, 3)},
            )


class AdmissionInterceptor(UnaryInterceptor):
    """Answers RESOURCE_EXHAUSTED, with a hint, above the limits of `Admission`."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def around(self, inner: Handler, method: str, request: Any, context: Context) -> Any:
        with self._admission.of(method):
            return await inner(request, context)


class DeadlineInterceptor(UnaryInterceptor):
    """Gives every call a deadline, the caller's or the default, that `Budget.current` reads."""

    def __init__(self, default_seconds: float) -> None:
        self._default = default_seconds

    async def around(self, inner: Handler, method: str, request: Any, context: Context) -> Any:
        remaining = context.time_remaining()  # None without a client deadline
        seconds = self._default if remaining is None else remaining
        with deadline_in(max(0.0, seconds)):
            return await inner(request, context)


class ErrorInterceptor(UnaryInterceptor):
    """Domain errors keep their text; any other exception is logged and answered with a constant."""

    async def around(self, inner: Handler, method: str, request: Any, context: Context) -> Any:
        try:
            return await inner(request, context)
        except aio.AbortError:
            raise
        except DomainError as error:
            if isinstance(error, Overloaded):
                context.set_trailing_metadata(((RETRY_AFTER_HEADER, str(error.retry_after_ms)),))
            await context.abort(grpc.StatusCode[error.status], str(error))
        except Exception:
            log.exception("unhandled error", extra={"method": method})
            await context.abort(grpc.StatusCode.INTERNAL, "Internal server error")


def standard_interceptors(admission: Admission, deadline_seconds: float) -> list[UnaryInterceptor]:
    """The interceptors of every server, outermost first."""
    return [
        AccessInterceptor(),
        ErrorInterceptor(),
        AdmissionInterceptor(admission),
        DeadlineInterceptor(deadline_seconds),
    ]
