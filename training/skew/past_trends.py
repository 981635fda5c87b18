"""What was on the rise at moments of the past."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from models.history import Surroundings
from models.release import Release
from models.trending import TREND_ITEMS, TrendCounters
from services.features.past import Block
from services.orchestrator.candidates import Query
from services.orchestrator.clients import UserFeatures, WeightedItems
from services.orchestrator.hydrators import with_user
from services.orchestrator.seen import SeenItems


def half_life(release: Release) -> float:
    """Of the trend that a release is served, in days; 0 for none."""
    days: float = release.manifest.config.get("trend_half_life_days", 0.0)
    return days


class PastTrends:
    """What was on the rise, at moments that never fall.

    Args:
        blocks: events, ordered by their keys.
    """

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._block: Block | None = next(blocks, None)
        self._at = 0
        self._made: dict[tuple[float, str], WeightedItems] = {}
        self._rows: dict[tuple[int, int, int], Surroundings] = {}
        self.counters: TrendCounters[str] = TrendCounters()

    def count_to(self, key: float) -> None:
        """Counts all events up to a key."""
        while self._block is not None:
            block = self._block
            end = int(np.searchsorted(block.keys, key, side="right"))
            if end > self._at:
                part = slice(self._at, end)
                self.counters.add(block.items[part], block.regions[part], block.times[part])
                self._made.clear()
                self._rows.clear()
                self._at = end
            if end < len(block.keys):
                return
            self._block, self._at = next(self._blocks, None), 0

    def laid_over(self, known: UserFeatures, half_life_days: float, region: str) -> UserFeatures:
        """Features of a user, with what is on the rise everywhere and in a region, if it is one."""
        here = self._top(half_life_days, region) if region else known.trend_here
        return replace(known, trend=self._top(half_life_days, ""), trend_here=here)

    def rows(self, query: Query, known: UserFeatures) -> Surroundings:
        """What `with_user` makes of `laid_over`, as long as nothing more is counted."""
        key = id(query.catalogue), id(known.trend), id(known.trend_here)
        if key not in self._rows:
            only = UserFeatures(trend=known.trend, trend_here=known.trend_here)
            user = with_user(query, only, SeenItems()).user
            assert user is not None
            self._rows[key] = user.around
        return self._rows[key]

    def _top(self, half_life_days: float, region: str) -> WeightedItems:
        if (half_life_days, region) not in self._made:
            trend = self.counters.top(half_life_days, TREND_ITEMS, region)
            self._made[half_life_days, region] = WeightedItems(tuple(trend.items), trend.shares)
        return self._made[half_life_days, region]
