"""Errors that domain code raises. Each names the gRPC status it becomes; none imports grpc."""

from typing import ClassVar

from models.errors import ReportedError


class DomainError(ReportedError):
    """An error whose text is safe to show to the caller."""

    status: ClassVar[str] = "INTERNAL"


class InvalidArgument(DomainError):
    """The caller sent something malformed. The text begins with the field at fault."""

    status = "INVALID_ARGUMENT"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class NotFound(DomainError):
    """What was asked for does not exist, and nothing can stand in for it."""

    status = "NOT_FOUND"


class FailedPrecondition(DomainError):
    """The system is not in a state in which the call can succeed."""

    status = "FAILED_PRECONDITION"


class Unavailable(DomainError):
    """A part this call cannot do without is down; trying again may help."""

    status = "UNAVAILABLE"


class Overloaded(DomainError):
    """Too many calls are in progress."""

    status = "RESOURCE_EXHAUSTED"

    def __init__(self, reason: str, retry_after_ms: int) -> None:
        super().__init__(reason)
        self.retry_after_ms = retry_after_ms
