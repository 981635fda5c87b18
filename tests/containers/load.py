"""Requests and events that go on whatever happens, and what came of them."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self
from uuid import uuid4

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import Client, EventKind, TandemError, event

_PAUSE_SECONDS = 0.1


class Load:
    """A light load on a system, for as long as the block lasts.

    Attributes:
        levels: answers, by level.
        failures: what requests failed with, their retries included.
        acknowledged: events that the system said it has.
        slowest: seconds that the slowest request took.
    """

    def __init__(self, client: Client, users: Sequence[str]) -> None:
        self.levels: Counter[str] = Counter()
        self.failures: list[str] = []
        self.acknowledged: list[pb.Event] = []
        self.slowest = 0.0
        self._client = client
        self._users = users
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(work,))
            for work in (self._recommend, self._recommend, self._record)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, work: Callable[[str], None]) -> None:
        number = 0
        while not self._done.wait(_PAUSE_SECONDS):
            work(self._users[number % len(self._users)])
            number += 1

    def _recommend(self, user: str) -> None:
        started = time.monotonic()
        try:
            answer = self._client.recommend(user)
        except TandemError as error:
            self.failures.append(str(error))
        else:
            self.levels[pb.Level.Name(answer.level).removeprefix("LEVEL_")] += 1
            if not answer.items:
                self.failures.append("no items")
        self.slowest = max(self.slowest, time.monotonic() - started)

    def _record(self, _user: str) -> None:
        sent = event(f"load-{uuid4().hex}", "item-1", EventKind.EVENT_KIND_VIEW)
        try:
            self._client.record([sent])
        except TandemError:
            return  # not acknowledged: a producer would send it again
        self.acknowledged.append(sent)
