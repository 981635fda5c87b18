"""Deadlines. Python's gRPC does not forward them, so each hop is handed its own, from a budget."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@dataclass(frozen=True)
class Budget:
    """The time a request has left.

    `ends` is a moment of `time.monotonic()`, in seconds.
    """

    ends: float

    @classmethod
    def of(cls, seconds: float) -> "Budget":
        return cls(time.monotonic() + seconds)

    @classmethod
    def current(cls, default: float) -> "Budget":
        """The budget of the call being served, else `default` seconds from now."""
        ends = _deadline.get()
        return cls.of(default) if ends is None else cls(ends)

    def left(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.ends - time.monotonic())

    def share(self, fraction: float, at_most: float = float("inf")) -> float:
        """Seconds a stage may take: a fraction of what is left, and at most `at_most`."""
        return min(self.left() * fraction, at_most)


@contextmanager
def deadline_in(seconds: float) -> Iterator[None]:
    """Sets the deadline that `Budget.current` reads within the block."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)
