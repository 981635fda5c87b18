"""The event log off the event loop: one thread writes, a few read."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.friends import FriendsEvents
from services.common.errors import Unavailable
from services.features.event_log import AppendResult, EventLog, History
from services.features.events import Event
from services.features.seen import ALL_SEEN, Seen, SeenHistory, SeenItems, SeenWanted
from services.features.user_table import Standing

_EVENTS_A_COMMIT = 2_000
_READERS = 4

# PostgreSQL that has failed over, and takes no writes yet, is an InternalError.
_DOWN = (OperationalError, InterfaceError, InternalError, PoolTimeout)

log = logging.getLogger(__name__)

T = TypeVar("T")


class AsyncEventLog:
    """The event log for asyncio. Every method raises `Unavailable` when the database is down.

    Appends that wait while another is being written share the next transaction, and so its fsync
    (group commit): that, not the disk's latency, then bounds the events a second.

    Args:
        event_log: where events go.
        seen_cache_items: item ids that the cache of seen items may hold.
    """

    def __init__(self, event_log: EventLog, seen_cache_items: int) -> None:
        self._log = event_log
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="event-writer")
        self._readers = ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="event-reader")
        self._waiting: list[tuple[Sequence[Event], asyncio.Future[AppendResult]]] = []
        self._committing: asyncio.Task[None] | None = None
        self._seen = SeenItems(seen_cache_items)
        self._reading_seen: dict[tuple[str, int], asyncio.Task[SeenHistory]] = {}

    async def append(self, events: Sequence[Event]) -> AppendResult:
        """Stores the events that are new; they are durable when this returns."""
        done: asyncio.Future[AppendResult] = asyncio.get_running_loop().create_future()
        self._waiting.append((events, done))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit())
        return await done

    async def write(self, function: Callable[[], T]) -> T:
        """Runs another blocking write to the database, between two appends."""
        return await _off_loop(self._writer, function)

    async def read(self, function: Callable[[], T]) -> T:
        """Runs another blocking read of the database, beside others."""
        return await _off_loop(self._readers, function)

    async def expire(self, before: float, most: int) -> dict[str, int] | None:
        """Removes the oldest records of the log; see `EventLog.expire`."""
        return await self.write(partial(self._log.expire, before, most))

    async def version(self, user_id: str) -> int:
        """The user's version; 0 for a user without events."""
        return await self.read(partial(self._log.version, user_id))

    async def standing(self, user_id: str) -> Standing:
        """The user's version, what was upserted, and whether the user was erased."""
        return await self.read(partial(self._log.standing, user_id))

    async def erased(self, user_ids: Collection[str]) -> set[str]:
        """Those of `user_ids` who were erased, even if events came after that."""
        return await self.read(partial(self._log.erased, user_ids))

    async def friends_events(
        self, friends: Sequence[str], as_of: float | None = None
    ) -> FriendsEvents[str]:
        """What friends lately did; see `friends.friends_events`."""
        return await self.read(partial(self._log.friends_events, friends, as_of))

    async def history(self, user_id: str, limit: int, as_of: float | None = None) -> History:
        """The user's latest events; see `EventLog.history`."""
        return await self.read(partial(self._log.history, user_id, limit, as_of))

    async def histories(self, user_ids: Sequence[str], limit: int) -> list[History]:
        """The latest events of several users, in the order asked for."""
        return await self.read(lambda: [self._log.history(user, limit) for user in user_ids])

    async def seen(self, user_id: str, version: int, wanted: SeenWanted = ALL_SEEN) -> Seen:
        """The items that the user ever had an event on, up to `version` at least.

        Args:
            user_id: whose events.
            version: of these events.
            wanted: of which kinds, and after which version.
        """
        if 0 < wanted.since == version:
            return Seen(is_increment=True)
        history = self._seen.get(user_id, version)
        if history is None:
            # Goes on when the caller gives up: one who asks again for a long history will find it.
            history = await asyncio.shield(self._read_seen(user_id, version))
        return history.answer(wanted)

    def forget(self, user_id: str) -> None:
        """Drops what is cached of a user."""
        self._seen.forget(user_id)

    async def close(self) -> None:
        """Writes what waits, then ends the threads."""
        if self._committing is not None:
            await self._committing
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._readers.shutdown)

    def _read_seen(self, user_id: str, version: int) -> "asyncio.Task[SeenHistory]":
        """The one task that reads a user's history up to a version, and caches it."""
        key = user_id, version
        if key not in self._reading_seen:
            reading = self._reading_seen[key] = asyncio.create_task(self._cache_seen(*key))
            reading.add_done_callback(lambda _: self._reading_seen.pop(key))
        return self._reading_seen[key]

    async def _cache_seen(self, user_id: str, version: int) -> SeenHistory:
        history = SeenHistory(version, await self.read(partial(self._log.seen, user_id)))
        self._seen.put(user_id, history)
        return history

    async def _commit(self) -> None:
        while self._waiting:
            group = self._next_group()
            events = [event for request, _ in group for event in request]
            try:
                result = await _off_loop(self._writer, partial(self._log.append, events))
            except Exception as error:
                for _, done in group:
                    if not done.done():
                        done.set_exception(error)
                continue
            self._note_seen(events, result)
            _share(group, result)

    def _next_group(self) -> list[tuple[Sequence[Event], asyncio.Future[AppendResult]]]:
        size = taken = 0
        for events, _ in self._waiting:
            if taken and size + len(events) > _EVENTS_A_COMMIT:
                break
            size, taken = size + len(events), taken + 1
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return group

    def _note_seen(self, events: Sequence[Event], result: AppendResult) -> None:
        kinds: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for event in events:
            if event.event_id in result.stored:
                kinds[event.user_id][event.item_id] |= 1 << event.kind
        for user_id, version in result.versions.items():
            self._seen.grow(user_id, version, kinds[user_id])


def _share(
    group: Sequence[tuple[Sequence[Event], "asyncio.Future[AppendResult]"]], result: AppendResult
) -> None:
    """Gives each request its part; an event that came in two requests was stored for the first."""
    left = set(result.stored)
    for events, done in group:
        stored = left.intersection(event.event_id for event in events)
        left -= stored
        users = {event.user_id for event in events} & result.versions.keys()
        versions = {user_id: result.versions[user_id] for user_id in users}
        if not done.done():  # the caller may have gone
            done.set_result(AppendResult(frozenset(stored), len(events) - len(stored), versions))


async def _off_loop(threads: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, function)
    except _DOWN as error:
        log.warning("the event log does not answer", exc_info=True)
        raise Unavailable("the event log does not answer") from error
