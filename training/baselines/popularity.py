"""The same list for everybody: what most people touched, ever or lately."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.popularity import SECONDS_A_DAY
from training.baselines.histories import binary
from training.baselines.method import Matrix
from training.sequences import EventSequences
from training.splits import Queries


@dataclass(frozen=True)
class Popularity:
    """Number of users who had the item."""

    def fit(self, events: EventSequences, n_items: int) -> "Constant":
        return Constant(popularity_of(events, n_items))


@dataclass(frozen=True)
class Constant:
    """(n,) scores that hold for every query."""

    scores: Matrix

    def score(self, queries: Queries) -> Matrix:
        return np.tile(self.scores, (len(queries), 1))


@dataclass(frozen=True)
class RecentPopularity:
    """Events of taste in the last `days` before the moment asked about, or before the newest event
    known when that is earlier; among equals, the item that more users ever had."""

    days: float

    def fit(self, events: EventSequences, n_items: int) -> "_Recent":
        ever = popularity_of(events, n_items)
        taste = events.taste()
        order = np.argsort(taste.times, kind="stable")
        window = self.days * SECONDS_A_DAY
        return _Recent(taste.times[order], taste.rows[order], ever / (ever.sum() + 1), window)


@dataclass(frozen=True)
class _Recent:
    times: NDArray[np.float64]
    rows: NDArray[np.int32]
    ever: Matrix
    window: float

    def score(self, queries: Queries) -> Matrix:
        """Slides one window over the queries by time: each event enters and leaves it once."""
        scores = np.empty((len(queries), len(self.ever)), np.float32)
        counts = self.ever.copy()
        newest = np.nextafter(self.times[-1:].max(initial=-np.inf), np.inf)
        moments = np.minimum(queries.times, newest)
        ends = np.searchsorted(self.times, moments)
        begins = np.searchsorted(self.times, moments - self.window)
        begin = end = 0
        for at in np.argsort(moments, kind="stable"):
            np.add.at(counts, self.rows[end : ends[at]], 1)
            np.subtract.at(counts, self.rows[begin : begins[at]], 1)
            begin, end = begins[at], ends[at]
            scores[at] = counts
        return scores


def popularity_of(events: EventSequences, n_items: int) -> Matrix:
    """(n,) float32 number of users who had each item."""
    counts: Matrix = np.asarray(binary(events, n_items).sum(axis=0)).ravel().astype(np.float32)
    return counts
