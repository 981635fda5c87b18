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

_EVENT_PAUSE_SECONDS = 0.1


class Load:
    """A load on a system, for as long as the block lasts: clients that ask, one that records.

    Args:
        client: of the system.
        users: who is asked for, in turn.
        askers: requests in progress at once.
        pause: seconds that each asker waits after an answer.

    Attributes:
        levels: answers, by level.
        releases: answers, by release.
        failures: what requests failed with, their retries included.
        acknowledged: events that the system said it has.
        slowest: seconds that the slowest request took.
    """

    def __init__(
        self, client: Client, users: Sequence[str], *, askers: int = 2, pause: float = 0.1
    ) -> None:
        self.levels: Counter[str] = Counter()
        self.releases: Counter[str] = Counter()
        self.failures: list[str] = []
        self.acknowledged: list[pb.Event] = []
        self.slowest = 0.0
        self._client = client
        self._users = users
        self._done = threading.Event()
        works = [(self._recommend, pause)] * askers + [(self._record, _EVENT_PAUSE_SECONDS)]
        self._threads = [threading.Thread(target=self._repeat, args=each) for each in works]

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

    def _repeat(self, work: Callable[[str], None], pause: float) -> None:
        number = 0
        while not self._done.wait(pause):
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
            self.releases[answer.release_id] += 1
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
