"""Whether the answer right after an acknowledged event reflects it, and how soon that is."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import numpy as np

from bench.percentiles import percentiles
from models.events import EventKind
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import AsyncClient, event

_KINDS = [EventKind.VIEW, EventKind.CLICK, EventKind.LIKE, EventKind.SAVE, EventKind.DISLIKE]
_MOST_ANSWERS = 20  # asked for after one event; the first that is stale is counted already


@dataclass
class FreshAnswers:
    """What came back, in milliseconds.

    Attributes:
        clients: that sent and asked at once.
        ack: from sending an event to its acknowledgement.
        visible: from sending an event to the first answer that reflects it.
        recommend: of each call of Recommend.
        stale: answers that did not reflect all events acknowledged before they were asked for.
        levels: answers by level of service.
    """

    clients: int
    ack: list[float] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)
    recommend: list[float] = field(default_factory=list)
    stale: int = 0
    levels: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        """As `bench.freshness` prints it."""
        times = {"ack": self.ack, "visible": self.visible, "recommend": self.recommend}
        return {
            "clients": self.clients,
            "events": len(self.ack),
            "stale": self.stale,
            "levels": dict(self.levels),
            **{
                key: each
                for name, millis in times.items()
                for key, each in percentiles(millis, name).items()
            },
        }


async def ask_after_each_event(
    address: str, users: Sequence[str], items: Sequence[str], events: int, clients: int, seed: int
) -> FreshAnswers:
    """Sends events one by one, and asks as soon as each is acknowledged.

    Every other event is on the item that the user was just shown first, the rest on random items.

    Args:
        address: `host:port` of the orchestrator.
        users: who acts, in turn; each user belongs to one client.
        items: of the release.
        events: how many in all.
        clients: that send and ask at once.
        seed: of what is drawn.
    """
    found = FreshAnswers(clients)
    async with AsyncClient(address) as client:
        await asyncio.gather(
            *(
                _Audience(client, users[n::clients], items, seed + n, found).live(
                    events // clients + (n < events % clients)
                )
                for n in range(clients)
            )
        )
    return found


class _Audience:
    """Some users, one of whom acts at a time."""

    def __init__(
        self,
        client: AsyncClient,
        users: Sequence[str],
        items: Sequence[str],
        seed: int,
        found: FreshAnswers,
    ) -> None:
        self._client = client
        self._users = users
        self._items = items
        self._rng = np.random.default_rng(seed)
        self._found = found
        self._shown: dict[str, pb.RecommendResponse] = {}
        self._expected: dict[str, int] = {}  # versions that acknowledgements imply

    async def live(self, events: int) -> None:
        for number, user in enumerate(islice(cycle(self._users), events)):
            if user not in self._shown:
                first = await self._client.recommend(user, explain=True)
                self._shown[user] = first
                self._expected[user] = first.trace.user.version
            await self._act(user, self._item(user, number))

    def _item(self, user: str, number: int) -> str:
        shown = self._shown[user].items
        if number % 2 and shown:
            return shown[0].item_id
        return self._items[int(self._rng.integers(len(self._items)))]

    async def _act(self, user: str, item: str) -> None:
        kind = _KINDS[int(self._rng.integers(len(_KINDS)))]
        sent = event(user, item, pb.EventKind.Name(kind.value))  # type: ignore[arg-type]
        started = time.perf_counter()
        acked = await self._client.record([sent])
        self._found.ack.append(_millis_since(started))
        self._expected[user] += acked.accepted
        for _ in range(_MOST_ANSWERS):
            asked = time.perf_counter()
            answer = await self._client.recommend(user, explain=True)
            self._found.recommend.append(_millis_since(asked))
            self._found.levels[pb.Level.Name(answer.level)] += 1
            if _reflects(answer, sent, self._expected[user]):
                break
            self._found.stale += 1
        self._found.visible.append(_millis_since(started))
        self._shown[user] = answer


def _reflects(answer: pb.RecommendResponse, sent: pb.Event, version: int) -> bool:
    known = answer.trace.user
    return (
        known.version >= version
        and known.newest.ToMicroseconds() >= sent.timestamp.ToMicroseconds()
        and sent.item_id not in {item.item_id for item in answer.items}
    )


def _millis_since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3
