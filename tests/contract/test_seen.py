"""Seen items through two replicas of the features service, whatever happens to the log between."""

import asyncio
import random
import time
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from models.events import EventKind
from services.features.async_log import AsyncEventLog
from services.features.erasure import UserEraser
from services.features.event_log import EventLog, erase_events
from services.features.events import Event
from services.features.memory import InMemoryStore
from services.features.publisher import SessionPublisher
from services.features.release_loader import ReleaseLoader
from services.features.seen import ALL_SEEN, SeenWanted, kinds_mask
from services.features.users import UserReader
from tests.contract.databases import engine

__all__ = ["engine"]

KINDS = [frozenset[int](), frozenset({EventKind.VIEW}), frozenset({EventKind.LIKE, 9})]


class Replica:
    """What reads and writes the seen items; its own event log is all that it remembers."""

    def __init__(self, engine: Engine, store: InMemoryStore) -> None:
        self.log = AsyncEventLog(EventLog(engine), seen_cache_items=60)
        self.publisher = SessionPublisher(self.log, store)
        loader = ReleaseLoader(Path("nowhere"), store, self.log.erased)
        self.reader = UserReader(self.log, store, self.publisher, loader)
        tables = {"events": erase_events}
        self.eraser = UserEraser(engine, self.log, self.publisher, tables, [])

    async def close(self) -> None:
        await self.eraser.close()
        await self.publisher.close()
        await self.log.close()


@dataclass
class Asker:
    """Remembers the set of its last answer, and asks for what came after."""

    version: int = 0
    held: set[str] = field(default_factory=set)
    increments: int = 0

    async def ask(self, replica: Replica, user: str, kinds: Set[int], as_of: float | None) -> None:
        wanted = SeenWanted(kinds_mask(kinds) or ALL_SEEN.kinds, self.version)
        found = await replica.reader.read(user, "", as_of, wanted)
        self.increments += found.seen.is_increment
        self.held = self.held if found.seen.is_increment else set()
        self.held |= set(found.seen.item_ids)
        self.version = found.session.version


def in_log(engine: Engine, user: str, kinds: Set[int]) -> set[str]:
    with engine.connect() as db:
        rows = db.execute(text("SELECT item_id, kind FROM events WHERE user_id = :u"), {"u": user})
        return {item_id for item_id, kind in rows if not kinds or kind in kinds}


@pytest.mark.parametrize("seed", range(3))
async def test_increments_add_up_to_what_the_log_says(engine: Engine, seed: int) -> None:
    rng, store = random.Random(seed), InMemoryStore()
    replicas = [Replica(engine, store), Replica(engine, store)]
    askers = {(user, kinds): Asker() for user in ("u", "v") for kinds in KINDS}
    for number in range(150):
        at, user = rng.randrange(2), rng.choice("uuuv")
        what = rng.choices(["append", "ask", "expire", "erase", "restart"], [50, 60, 4, 3, 4])[0]
        if what == "append":
            events = [
                Event(f"{number}-{n}", user, f"i{rng.randrange(40)}", kind, 0.0, float(number))
                for n, kind in enumerate(rng.choices([2, 4, 9], k=rng.randint(1, 3)))
            ]
            await replicas[at].log.append(events)
        elif what == "expire":
            await replicas[at].log.expire(time.time() + 1, rng.randint(1, 6))
        elif what == "erase":
            await replicas[at].eraser.erase(user)
        elif what == "restart":
            await replicas[at].close()
            replicas[at] = Replica(engine, store)
        else:
            as_of = rng.choice([None, float(rng.randrange(150))])
            for kinds in KINDS:
                asker = askers[user, kinds]
                await asker.ask(replicas[at], user, kinds, as_of)
                assert asker.held == in_log(engine, user, kinds), (number, kinds)
    assert sum(asker.increments for asker in askers.values()) > 50
    for replica in replicas:
        await replica.close()


async def test_a_read_that_nobody_waits_for_any_more_is_kept(engine: Engine) -> None:
    replica = Replica(engine, InMemoryStore())
    await replica.log.append([Event("e", "u", "i", 2, 0.0, 1.0)])
    reading = asyncio.create_task(replica.log.seen("u", 1))
    await asyncio.sleep(0)
    reading.cancel()
    await replica.log.read(lambda: None)
    assert list((await replica.log.seen("u", 1)).item_ids) == ["i"]
    assert not replica.log._reading_seen
    await replica.close()
