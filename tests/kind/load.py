"""Calls of Recommend at a constant rate, whatever happens to what answers them."""

import asyncio
import threading
import time
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
def asking(address: str, users: tuple[str, ...], rate: float) -> Iterator[Asked]:
    """Asks in the background while the block runs; at its end every call has its outcome.

    Args:
        address: of the public API.
        users: who is asked for, in turn.
        rate: calls a second, sent whether or not the ones before were answered.
    """
    asked, ended = Asked(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_ask(address, users, rate, asked, ended)))
    thread.start()
    try:
        yield asked
    finally:
        ended.set()
        thread.join()


async def _ask(
    address: str, users: tuple[str, ...], rate: float, asked: Asked, ended: threading.Event
) -> None:
    async def one(user: str) -> None:
        try:
            answer = await client.recommend(user)
        except TandemError as error:
            asked.failed.append(str(error))
            return
        asked.answered += 1
        asked.levels[pb.Level.Name(answer.level)] += 1
        asked.releases[answer.release_id] += 1

    began, number = time.monotonic(), 0
    async with AsyncClient(address) as client, asyncio.TaskGroup() as tasks:
        while not ended.is_set():
            tasks.create_task(one(users[number % len(users)]))
            number += 1
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
