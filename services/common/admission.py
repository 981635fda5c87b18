"""How many calls of which kind a server works on at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from services.common.errors import Overloaded
from tandem.recommender.v1 import recommender_pb2

_RETRY_AFTER_MS = 100
_OPERATORS = {
    *recommender_pb2.DESCRIPTOR.services_by_name["AdminService"].methods_by_name,
    "PrepareRelease",
}
"""Names of the calls that operators make, and of those that other services make for them."""


class Admission:
    """Refuses calls above a limit at once.

    Users' calls share one limit. Each of the operators' calls has one of its own: a release can
    be rolled back whatever else fills the server, be it requests or upserts. Health checks are
    always admitted: an overloaded server is not a dead one.

    Args:
        limit: users' calls in progress.
        operators_limit: calls in progress of each operators' method.
    """

    def __init__(self, limit: int, operators_limit: int) -> None:
        self._limit = limit
        self._operators_limit = operators_limit
        self._in_progress = Counter[str]()

    @contextmanager
    def of(self, method: str) -> Iterator[None]:
        """Counts a call while it is in progress.

        Args:
            method: its full name, "/package.Service/Method".

        Raises:
            Overloaded: there are too many.
        """
        service, name = method.removeprefix("/").split("/")
        if service == "grpc.health.v1.Health":
            yield
            return
        room, limit = (name, self._operators_limit) if name in _OPERATORS else ("", self._limit)
        if self._in_progress[room] >= limit:
            what = f"{limit} calls{' of ' if room else ''}{room} are in progress"
            raise Overloaded(f"{what}; try again in {_RETRY_AFTER_MS} ms", _RETRY_AFTER_MS)
        self._in_progress[room] += 1
        try:
            yield
        finally:
            self._in_progress[room] -= 1
