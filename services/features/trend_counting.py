"""Counters of the trend and how far in the log they are. Blocks; `LiveTrend` says which thread."""

import logging
import time
import zlib
from collections.abc import Sequence

import numpy as np
from sqlalchemy import Engine

from models.events import NEGATIVE
from models.trending import LATE_SECONDS, Trend, TrendCounters
from services.common.leases import Lease
from services.features.events import MAX_SECONDS_AHEAD
from services.features.log_tail import Hole, LogTail, TailEvent
from services.features.trend_snapshots import TrendSnapshot, TrendSnapshots

BLOCK = 500  # events that are read, or counted, at once: about a millisecond
LEASE_SECONDS = 150.0
"""For which one replica writes the snapshots; longer than two of them are apart."""

log = logging.getLogger(__name__)


class TrendCounting:
    """Counters that follow the event log.

    Args:
        engine: database of the log and of the snapshot.
        most_items: items counted a region.
    """

    def __init__(self, engine: Engine, most_items: int) -> None:
        self._engine = engine
        self._most_items = most_items
        self._snapshots = TrendSnapshots(engine)
        self._lease = Lease(engine, "trend-snapshot", LEASE_SECONDS)
        self._counters: TrendCounters[str] = TrendCounters(most_items)
        self._tail = LogTail(engine)
        self._kept = 0, 0  # seq and number of holes of the snapshot

    def load(self) -> None:
        """Begins where the snapshot was made, or at the beginning of the log without a good one."""
        counters: TrendCounters[str] = TrendCounters(self._most_items)
        snapshot, tail = self._snapshots.read(), LogTail(self._engine)
        if snapshot is not None:
            try:
                counters.load(zlib.decompress(snapshot.counters))
            except (ValueError, zlib.error) as error:
                log.warning("the trend is counted from the beginning", extra={"why": str(error)})
                self._snapshots.drop()
            else:
                holes = [Hole(first, last) for first, last in snapshot.holes]
                tail = LogTail(self._engine, snapshot.seq, holes)
        self._counters, self._tail = counters, tail
        self._kept = tail.seq, len(tail.holes)

    def read(self) -> tuple[list[TailEvent], bool]:
        """The next events, which are to be counted, and whether there may be more of them now."""
        return self._tail.read(BLOCK)

    def count(self, events: Sequence[TailEvent]) -> None:
        """Counts events that were read.

        Not those that a file dates further ahead than a producer's clock may be: one would be the
        newest for long, and the trend unknown until then.
        """
        latest = time.time() + MAX_SECONDS_AHEAD
        good = [e for e in events if e.kind not in NEGATIVE and e.timestamp <= latest]
        times = np.array([event.timestamp for event in good], np.float64)
        self._counters.add([e.item_id for e in good], [e.region for e in good], times)

    def knows(self, moment: float) -> bool:
        """Whether the counters stand for what was on the rise at a moment, in Unix seconds.

        They do for all of the last hour, though a producer's clock run ahead, and before it as
        `TrendCounters.knows` says.
        """
        return moment >= time.time() - LATE_SECONDS or self._counters.knows(moment)

    def top(self, half_life_days: float, count: int, region: str) -> Trend[str]:
        """See `TrendCounters.top`."""
        return self._counters.top(half_life_days, count, region)

    def copy(self) -> TrendCounters[str]:
        """The counters as they are."""
        return self._counters.copy()

    def keep(self, counters: TrendCounters[str]) -> None:
        """Keeps a copy that was made after all that was read was counted, and before more was.

        One replica does it at a time; all count the same.
        """
        position = self._tail.seq, len(self._tail.holes)
        if position == self._kept or not self._lease.take():
            return
        holes = [(hole.first, hole.last) for hole in self._tail.holes]
        dumped = zlib.compress(counters.dump(), 1)
        self._snapshots.write(TrendSnapshot(self._tail.seq, holes, dumped))
        self._kept = position
