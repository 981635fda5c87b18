"""What is on the rise, live: counted from the event log, whichever replica stored an event.

Two threads work beside the event loop: one reads the log and keeps the counters, the other counts
and makes lists. Each step of the latter takes a few milliseconds at most (to copy the counters for
a snapshot, some more if they are large), so a request that needs a new list never waits for the
database. A snapshot, once a minute, takes as long as its size asks for, on the thread that reads.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from models.trending import HALF_LIVES_DAYS, TREND_CAPACITY, TREND_ITEMS, Trend
from services.common.errors import InvalidArgument
from services.features.metrics import TREND_EVENTS
from services.features.trend_counting import BLOCK, TrendCounting

_POLL_SECONDS = 0.5
_LONGEST_REST_SECONDS = 0.1
_MOST_TIME_SHARE = 0.05  # of looking at a log that grows all the time
_LEAST_SECONDS_A_LIST = 0.02
_PATIENCE_SECONDS = 0.005  # after which a list that is a little old is good enough
_SNAPSHOT_SECONDS = 60.0
_RETRY_SECONDS = 2.0
_START_SECONDS = 1.0
_MOST_LISTS = 2_000

log = logging.getLogger(__name__)

E = TypeVar("E")
T = TypeVar("T")


@dataclass(frozen=True)
class Trends(Generic[E]):
    """Encoded lists of at most `TREND_ITEMS` items: everywhere, and in one region."""

    everywhere: E
    here: E


@dataclass(frozen=True)
class _Made(Generic[E]):
    trends: Trends[E]
    state: int  # of the counters
    time: float


class LiveTrend(Generic[E]):
    """Counts events as the log grows, and answers with lists.

    Args:
        engine: database of the log; counters are kept there every minute and at `close`.
        encode: makes of a list what `top` answers; called once a list, on another thread.
        most_items: items counted a region; see `TrendCounters`.
    """

    def __init__(
        self, engine: Engine, encode: Callable[[Trend[str]], E], most_items: int = TREND_CAPACITY
    ) -> None:
        self._counting = TrendCounting(engine, most_items)
        self._encode = encode
        self._nothing = encode(Trend([], np.empty(0, np.float32)))
        self._everywhere: dict[float, tuple[int, E]] = {}  # by half-life: state, list
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trend-reader")
        self._counter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trend-counter")
        self._wake = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._closing = False
        self._running: asyncio.Task[None] | None = None
        self._state = 0
        self._kept_at = 0.0
        self._lists: dict[tuple[float, str], _Made[E]] = {}
        self._making: dict[tuple[float, str], asyncio.Task[_Made[E]]] = {}

    async def start(self) -> None:
        """Starts to count; returns when all of the log is counted, or goes on without waiting."""
        self._running = asyncio.create_task(self._run())
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                await self._caught_up.wait()

    def wake(self) -> None:
        """Says that the log has grown; it is looked at twice a second without that, too."""
        self._wake.set()

    async def top(self, half_life_days: float, region: str, as_of: float | None) -> Trends[E]:
        """What is on the rise; nothing while the log has not been counted once.

        Args:
            half_life_days: one of `HALF_LIVES_DAYS`, or 0 for no trend.
            region: where `here` is; empty for nowhere.
            as_of: the moment, in Unix seconds; None for now. Of one long before the newest event,
                nothing is known.

        Raises:
            InvalidArgument: another half-life.
        """
        if half_life_days != 0 and half_life_days not in HALF_LIVES_DAYS:
            known = ", ".join(f"{days:g}" for days in HALF_LIVES_DAYS)
            raise InvalidArgument("trend_half_life_days", f"must be 0 or one of {known}")
        moment = time.time() if as_of is None else as_of
        if not (half_life_days and self._caught_up.is_set() and self._counting.knows(moment)):
            return Trends(self._nothing, self._nothing)
        return await self._lists_of((half_life_days, region))

    async def close(self) -> None:
        """Takes a last look at the log, keeps the counters, and ends the threads.

        What was not counted by then is counted after the next start.
        """
        self._closing = True
        self._wake.set()
        if self._running is not None:
            await self._running
        await asyncio.gather(*self._making.values(), return_exceptions=True)
        await asyncio.to_thread(self._reader.shutdown)
        await asyncio.to_thread(self._counter.shutdown)

    async def _lists_of(self, key: tuple[float, str]) -> Trends[E]:
        made = self._lists.get(key)
        now = time.monotonic()
        if made and (made.state == self._state or now - made.time < _LEAST_SECONDS_A_LIST):
            return made.trends
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(self._make(key))
        await asyncio.wait([making], timeout=None if made is None else _PATIENCE_SECONDS)
        if made is not None and not making.done():
            return made.trends
        return making.result().trends

    async def _make(self, key: tuple[float, str]) -> _Made[E]:
        state, now = self._state, time.monotonic()
        try:
            trends = await self._off_loop(self._counter, partial(self._trends, *key, state))
        finally:
            del self._making[key]
        if len(self._lists) >= _MOST_LISTS:
            self._lists.clear()
        made = self._lists[key] = _Made(trends, state, now)
        return made

    def _trends(self, half_life_days: float, region: str, state: int) -> Trends[E]:
        made, everywhere = self._everywhere.get(half_life_days, (-1, self._nothing))
        if made != state:
            everywhere = self._encode(self._counting.top(half_life_days, TREND_ITEMS, ""))
            self._everywhere[half_life_days] = state, everywhere
        if not region:
            return Trends(everywhere, self._nothing)
        return Trends(
            everywhere, self._encode(self._counting.top(half_life_days, TREND_ITEMS, region))
        )

    async def _run(self) -> None:
        loaded = False
        while True:
            closing = self._closing  # a last look follows the last event
            began = time.monotonic()
            try:
                if not loaded:
                    await self._off_loop(self._reader, self._counting.load)
                    loaded, self._kept_at = True, began
                more = await self._step()
                if closing or began - self._kept_at > _SNAPSHOT_SECONDS:
                    await self._keep()
                    self._kept_at = began
            except Exception as error:
                log.warning("the trend is not counted; trying again", exc_info=True)
                if not isinstance(error, SQLAlchemyError):
                    # What was read may not be counted: on from where the counters were kept.
                    loaded = False
                    self._caught_up.clear()
                if not closing:
                    await self._pause(_RETRY_SECONDS)
                more = True
            if closing:
                return
            if not more:
                self._caught_up.set()
                rest = began + (time.monotonic() - began) / _MOST_TIME_SHARE
                await self._pause(_POLL_SECONDS)
                await asyncio.sleep(min(rest - time.monotonic(), _LONGEST_REST_SECONDS))

    async def _step(self) -> bool:
        """Counts one block; returns whether there may be more."""
        events, more = await self._off_loop(self._reader, self._counting.read)
        for start in range(0, len(events), BLOCK):
            block = events[start : start + BLOCK]
            await self._off_loop(self._counter, partial(self._counting.count, block))
        if events:
            self._state += 1
            TREND_EVENTS.inc(len(events))
        return more

    async def _keep(self) -> None:
        counters = await self._off_loop(self._counter, self._counting.copy)
        await self._off_loop(self._reader, partial(self._counting.keep, counters))

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _off_loop(self, threads: ThreadPoolExecutor, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, function)
