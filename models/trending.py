"""What is on the rise: decayed counts of events, everywhere and by region.

The features service counts live events here; training counts the log's here. Counts decay forward
(Cormode et al. 2009, "Forward decay"): an event at time t adds 2 ** ((t - L) / h), with a landmark
L and a half-life h. So nothing changes as time passes, late events count what they would have
counted in time, and the order of events does not matter.
"""

import heapq
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.popularity import SECONDS_A_DAY

HALF_LIVES_DAYS = (0.25, 2.0, 14.0, 90.0, 365.0)
"""Half-lives that are counted side by side; training chooses the one that a release is served."""

TREND_ITEMS = 200
"""Items of a list of what is on the rise."""

TREND_CAPACITY = 10_000
"""Items that are counted for each region, and for all together, unless a setting says otherwise."""

LATE_SECONDS = 3600.0
"""Counters cannot go back in time: for a moment this much before their newest event, they know
nothing."""

_SMOOTHING = 5.0  # events
_FARTHEST = 64.0  # half-lives from the landmark; far from where float64 ends
_LEAST = 1e-3  # events; less is no trend

K = TypeVar("K", str, int)


@dataclass(frozen=True)
class Trend(Generic[K]):
    """Items by their share of recent events, as parallel sequences, largest first.

    Attributes:
        items: keys.
        shares: (n,) float32; an item's decayed count divided by that of all events plus five, so
            that few events say little. Relative to the newest event, so they do not fade.
    """

    items: list[K]
    shares: NDArray[np.float32]


class _Scope(Generic[K]):
    """Counts of one region, or of all."""

    def __init__(self) -> None:
        self.slots: dict[K, int] = {}
        self.counts = np.zeros((256, len(HALF_LIVES_DAYS)))  # (capacity, half-lives)
        self.totals = np.zeros(len(HALF_LIVES_DAYS))

    def add(self, items: Sequence[K], weights: NDArray[np.float64]) -> None:
        slots = [self.slots.setdefault(item, len(self.slots)) for item in items]
        while len(self.slots) > len(self.counts):
            self.counts = np.concatenate([self.counts, np.zeros_like(self.counts)])
        np.add.at(self.counts, slots, weights)
        self.totals += weights.sum(axis=0)

    def copy(self) -> "_Scope[K]":
        copied: _Scope[K] = _Scope()
        copied.slots, copied.totals = dict(self.slots), self.totals.copy()
        copied.counts = self.counts.copy()
        return copied

    def keep(self, most: int) -> None:
        """Forgets the items that are among the `most` largest at no half-life's measure."""
        counts = self.counts[: len(self.slots)]
        importance = (counts / np.maximum(self.totals, 1e-300)).max(axis=1)
        kept = np.sort(np.argpartition(-importance, most - 1)[:most])
        names = list(self.slots)
        self.slots = {names[slot]: at for at, slot in enumerate(kept)}
        self.counts = counts[kept]


class TrendCounters(Generic[K]):
    """Counts events as they come, in bounded memory. Not thread-safe.

    Args:
        most_items: items kept for each region, and for all regions together; up to a quarter more
            are held for a while.
        most_regions: regions kept; of more, the one with the fewest recent events goes.
    """

    def __init__(self, most_items: int = TREND_CAPACITY, most_regions: int = 256) -> None:
        self._most_items = most_items
        self._most_regions = most_regions
        self._half_lives = np.array(HALF_LIVES_DAYS) * SECONDS_A_DAY
        self._landmarks = np.zeros(len(HALF_LIVES_DAYS))
        self._everywhere: _Scope[K] = _Scope()
        self._regions: dict[str, _Scope[K]] = {}
        self.newest = -np.inf
        """Time of the newest event that was counted, in Unix seconds."""

    def add(self, items: Sequence[K], regions: Sequence[str], times: NDArray[np.float64]) -> None:
        """Counts events. Those of negative kinds are the caller's to leave out.

        Args:
            items, regions: of each event; an empty region counts everywhere only.
            times: (e,) Unix seconds, in any order.
        """
        if not len(items):
            return
        self.newest = max(self.newest, float(times.max()))
        self._move_landmarks()
        weights = np.exp2((times[:, None] - self._landmarks) / self._half_lives)
        self._everywhere.add(items, weights)
        self._shrink(self._everywhere)
        at_region: dict[str, list[int]] = {}
        for at, region in enumerate(regions):
            if region:
                at_region.setdefault(region, []).append(at)
        for region, places in at_region.items():
            scope = self._regions.setdefault(region, _Scope())
            scope.add([items[at] for at in places], weights[places])
            self._shrink(scope)
        while len(self._regions) > self._most_regions:
            longest = np.argmax(self._half_lives)
            del self._regions[min(self._regions, key=lambda r: self._regions[r].totals[longest])]

    def knows(self, moment: float) -> bool:
        """Whether the counters stand for what was on the rise at a moment, in Unix seconds."""
        return moment >= self.newest - LATE_SECONDS

    def top(self, half_life_days: float, count: int, region: str = "") -> Trend[K]:
        """The items with the most recent events, ties by key.

        Args:
            half_life_days: one of `HALF_LIVES_DAYS`.
            count: items wanted.
            region: where; empty means everywhere.

        Raises:
            ValueError: another half-life.
        """
        column = HALF_LIVES_DAYS.index(half_life_days)
        scope = self._regions.get(region) if region else self._everywhere
        if scope is None or not scope.slots:
            return Trend([], np.empty(0, np.float32))
        faded = np.exp2((self._landmarks[column] - self.newest) / self._half_lives[column])
        # Rounded, so that the order in which events came does not decide between equal items.
        counts = np.round(scope.counts[: len(scope.slots), column] * faded, 9)
        ranked = _largest(counts, list(scope.slots), count)
        shares = np.array([share for share, _ in ranked])
        shares /= scope.totals[column] * faded + _SMOOTHING
        return Trend([item for _, item in ranked], shares.astype(np.float32))

    def total(self, half_life_days: float, region: str = "") -> float:
        """The decayed number of all events, relative to the newest, as `top` divides by it.

        Raises:
            ValueError: another half-life.
        """
        column = HALF_LIVES_DAYS.index(half_life_days)
        scope = self._regions.get(region) if region else self._everywhere
        if scope is None or not len(scope.slots):
            return 0.0
        faded = np.exp2((self._landmarks[column] - self.newest) / self._half_lives[column])
        return float(scope.totals[column] * faded)

    def copy(self) -> "TrendCounters[K]":
        """The same counts, which go on separately: quickly made, to be dumped on another thread."""
        copied: TrendCounters[K] = TrendCounters(self._most_items, self._most_regions)
        copied.newest, copied._landmarks = self.newest, self._landmarks.copy()
        copied._everywhere = self._everywhere.copy()
        copied._regions = {region: scope.copy() for region, scope in self._regions.items()}
        return copied

    def dump(self) -> bytes:
        """All of the counters, for `load`: a line of JSON, then each scope's line and counts."""
        scopes: dict[str, _Scope[K]] = self._scopes()
        header = {
            "half_lives_days": HALF_LIVES_DAYS,
            "newest": self.newest if np.isfinite(self.newest) else None,
            "landmarks": self._landmarks.tolist(),
            "scopes": [[name, scope.totals.tolist()] for name, scope in scopes.items()],
        }
        return b"".join([json.dumps(header).encode(), b"\n", *map(_dumped, scopes.values())])

    def load(self, dumped: bytes) -> None:
        """Becomes what `dump` wrote.

        Raises:
            ValueError: it is damaged, or was counted with other half-lives.
        """
        try:
            header, at = _line(dumped, 0)
            if tuple(header["half_lives_days"]) != HALF_LIVES_DAYS:
                raise ValueError(f"counted with half-lives {header['half_lives_days']}")
            newest = -np.inf if header["newest"] is None else float(header["newest"])
            landmarks = np.array(header["landmarks"], dtype=np.float64)
            loaded: dict[str, _Scope[K]] = {}
            for region, totals in header["scopes"]:
                loaded[region], at = _loaded(dumped, at, totals)
            everywhere = loaded.pop("")
        except (KeyError, TypeError) as error:
            raise ValueError(f"damaged: {error!r}") from None
        self.newest = newest
        self._landmarks, self._everywhere, self._regions = landmarks, everywhere, loaded

    def _scopes(self) -> dict[str, _Scope[K]]:
        return {"": self._everywhere, **self._regions}

    def _shrink(self, scope: _Scope[K]) -> None:
        if len(scope.slots) > self._most_items * 5 // 4:
            scope.keep(self._most_items)

    def _move_landmarks(self) -> None:
        """To the newest event, where that is so far that weights would grow out of bounds."""
        away = (self.newest - self._landmarks) / self._half_lives
        far = away > _FARTHEST
        if not far.any():
            return
        factors = np.where(far, np.exp2(-np.where(far, away, 0.0)), 1.0)
        for scope in self._scopes().values():
            scope.counts *= factors
            scope.totals *= factors
        self._landmarks = np.where(far, self.newest, self._landmarks)


def _largest(counts: NDArray[np.float64], items: list[K], most: int) -> list[tuple[float, K]]:
    """At most `most` counts that are no less than `_LEAST`, largest first, ties by key."""
    if most <= 0:
        return []
    limit = float(np.partition(counts, -most)[-most]) if most < len(counts) else -np.inf
    inside = np.flatnonzero(counts > max(limit, np.nextafter(_LEAST, 0)))
    ranked = sorted((-float(counts[slot]), items[slot]) for slot in inside)
    if limit >= _LEAST:
        tied = (items[slot] for slot in np.flatnonzero(counts == limit))
        ranked += [(-limit, item) for item in heapq.nsmallest(most - len(ranked), tied)]
    return [(-negative, item) for negative, item in ranked]


def _dumped(scope: _Scope[Any]) -> bytes:
    counts = scope.counts[: len(scope.slots)]
    return json.dumps(list(scope.slots)).encode() + b"\n" + counts.astype("<f8").tobytes()


def _line(dumped: bytes, at: int) -> tuple[Any, int]:
    """The JSON of a line, and where the next one begins."""
    end = dumped.find(b"\n", at)
    if end < 0:
        raise ValueError("damaged: it ends early")
    return json.loads(dumped[at:end]), end + 1


def _loaded(dumped: bytes, at: int, totals: list[float]) -> tuple[_Scope[Any], int]:
    """A scope, and where the next one begins."""
    items, at = _line(dumped, at)
    end = at + 8 * len(HALF_LIVES_DAYS) * len(items)
    if len(dumped) < end:
        raise ValueError(f"damaged: it ends {end - len(dumped)} bytes early")
    scope: _Scope[Any] = _Scope()
    scope.slots = {item: slot for slot, item in enumerate(items)}
    counts = np.frombuffer(dumped[at:end], "<f8").reshape(-1, len(HALF_LIVES_DAYS))
    scope.counts = np.concatenate([counts, scope.counts])
    scope.totals = np.array(totals, dtype=np.float64)
    return scope, end
