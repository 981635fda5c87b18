"""Calls of Recommend, one after another, whatever happens to what answers them."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import AsyncClient, TandemError


@dataclass
class Asked:
    """What became of the calls."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    levels: Counter[str] = field(default_factory=Counter)
    releases: Counter[str] = field(default_factory=Counter)


@contextmanager
def asking(address: str, users: tuple[str, ...], clients: int, pause: float) -> Iterator[Asked]:
    """Asks in the background while the block runs; at its end every call has its outcome.

    Args:
        address: of the public API.
        users: who is asked for, in turn.
        clients: calls in progress at once.
        pause: seconds that each client waits after an answer.
    """
    asked, ended = Asked(), threading.Event()

    async def client(api: AsyncClient, first: int) -> None:
        number = first
        while not ended.is_set():
            await _one(api, users[number % len(users)], asked)
            number += clients
            await asyncio.sleep(pause)

    async def ask() -> None:
        async with AsyncClient(address) as api, asyncio.TaskGroup() as tasks:
            for first in range(clients):
                tasks.create_task(client(api, first))

    thread = threading.Thread(target=lambda: asyncio.run(ask()))
    thread.start()
    try:
        yield asked
    finally:
        ended.set()
        thread.join()


async def _one(api: AsyncClient, user: str, asked: Asked) -> None:
    try:
        answer = await api.recommend(user)
    except TandemError as error:
        asked.failed.append(str(error))
        return
    asked.answered += 1
    asked.levels[pb.Level.Name(answer.level)] += 1
    asked.releases[answer.release_id] += 1
