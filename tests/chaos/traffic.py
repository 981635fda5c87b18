"""Events that are sent until they are acknowledged, whatever happens meanwhile."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import grpc
from grpc import aio

from models.events import EventKind
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import TandemError

NOT_NOW = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""What a client may be told while something is down; all else fails the test."""

_START = 1_700_000_000
_INSTANTS = 5_000  # fewer than events, so that many share one
_LARGEST_BATCH = 100
_SENT_AGAIN = 0.05
_PAUSE_SECONDS = 0.1


class Answer(Protocol):
    accepted: int
    duplicates: int


Record = Callable[[Sequence[pb.Event]], Awaitable[Answer]]


@dataclass
class Traffic:
    """What the senders saw.

    Attributes:
        acked: ids of acknowledged events.
        duplicates: events that a later attempt found stored.
        retries: calls that failed, by status; each was tried again.
        longest_outage: seconds between the first failed attempt of a batch and its success.
    """

    acked: set[str] = field(default_factory=set)
    duplicates: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    longest_outage: float = 0.0

    def __str__(self) -> str:
        return (
            f"{len(self.acked)} events acknowledged, {self.duplicates} found stored already, "
            f"retries {dict(self.retries)}, longest outage {self.longest_outage:.1f} s"
        )


def make_events(
    count: int, users: Sequence[str], items: Sequence[str], seed: int
) -> list[pb.Event]:
    """Events of all kinds with fixed ids, out of order, many of them at one instant."""
    rng = random.Random(seed)
    events = []
    for number in range(count):
        kind = rng.choice(list(EventKind))
        sent = pb.Event(
            event_id=f"chaos-{number}",
            user_id=rng.choice(users),
            item_id=rng.choice(items),
            kind=pb.EventKind.Name(kind.value),
            value={EventKind.RATING: 4.5, EventKind.WATCH: 0.25}.get(kind, 0.0),
            region=rng.choice(["", "", "north", "south"]),
        )
        sent.timestamp.FromSeconds(_START + rng.randrange(_INSTANTS))
        events.append(sent)
    return events


async def send_all(
    record: Record, events: Sequence[pb.Event], clients: int, seconds: float, seed: int
) -> Traffic:
    """Sends batches of 1 to 100 events, spread over a time, each until it is acknowledged.

    Some are sent again after that, as a producer does that crashed before it noted the answer.
    """
    rng, traffic = random.Random(seed), Traffic()
    batches, start = [], 0
    while start < len(events):
        size = rng.randint(1, _LARGEST_BATCH)
        batches.append(events[start : start + size])
        start += size
    began = time.monotonic()
    left = iter(enumerate(batches))

    async def client() -> None:
        for number, batch in left:
            due = began + seconds * number / len(batches)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await _send(record, batch, traffic)
            if rng.random() < _SENT_AGAIN:
                again = await _until_acked(record, batch, traffic)
                assert (again.accepted, again.duplicates) == (0, len(batch))
                traffic.duplicates += len(batch)

    async with asyncio.TaskGroup() as sending:
        for _ in range(clients):
            sending.create_task(client())
    return traffic


async def _send(record: Record, batch: Sequence[pb.Event], traffic: Traffic) -> None:
    answer = await _until_acked(record, batch, traffic)
    assert answer.accepted + answer.duplicates == len(batch)
    traffic.acked |= {event.event_id for event in batch}
    traffic.duplicates += answer.duplicates


async def _until_acked(record: Record, batch: Sequence[pb.Event], traffic: Traffic) -> Answer:
    first = time.monotonic()
    while True:
        try:
            answer = await record(batch)
        except (TandemError, aio.AioRpcError) as error:
            code = error.code if isinstance(error, TandemError) else error.code()
            if code not in NOT_NOW:
                raise
            traffic.retries[code.name] += 1
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            traffic.longest_outage = max(traffic.longest_outage, time.monotonic() - first)
            return answer
