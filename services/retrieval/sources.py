"""The candidate sources: each finds items for a user in its own way. `server.py` lists them."""

from collections.abc import Callable
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from services.retrieval.query import Query, SourceTables
from services.retrieval.vectors import MOST_HITS, Found, Space, VectorIndex

Table = Callable[[SourceTables], tuple[NDArray[np.int32], NDArray[np.float32]]]


class Source(Protocol):
    """Finds candidates, best first. Raises to say that it failed; the others answer then."""

    @property
    def name(self) -> str:
        """Its name in requests, reports and metrics."""

    async def fetch(self, query: Query) -> Found:
        """At most `query.count` items, none of them excluded."""


class TowerAnnSource:
    """Nearest items to the user tower's vector: the items that the ranker will score highest."""

    name = "tower_ann"

    def __init__(self, index: VectorIndex) -> None:
        self._index = index

    async def fetch(self, query: Query) -> Found:
        # On the event loop: it takes half a millisecond, a hop to a thread takes about as long.
        vector = query.loaded.tower.user_vector(query.user)
        return await _nearest(self._index, Space.TOWER, vector, query)


class MfAnnSource:
    """Nearest items to the user's vector in matrix-factorization space.

    The vector is folded in from the recent history, so a user of five minutes has one too; without
    a history it is the one from training. A user with neither gets nothing from this source.
    """

    name = "mf_ann"
    _history: ClassVar[int] = 100
    _half_life: ClassVar[float] = 5.0
    """Events after which an event counts half."""

    def __init__(self, index: VectorIndex) -> None:
        self._index = index

    async def fetch(self, query: Query) -> Found:
        vector = self.user_vector(query)
        if vector is None:
            return Found.nothing()
        return await _nearest(self._index, Space.MF, vector, query)

    def user_vector(self, query: Query) -> NDArray[np.float32] | None:
        """(k,) vector of the user; None for one of whom nothing is known."""
        rows = query.liked_rows(self._history)
        if len(rows):
            weights = 0.5 ** (np.arange(len(rows), dtype=np.float32) / self._half_life)
            return query.loaded.fold_in.user_vector(rows, weights)
        return query.user.factors if len(query.user.factors) else None


class ItemToItemSource:
    """What the user's last items lead to, the last one's first, by a table of the release.

    Args:
        name: of the source.
        table: the (n, m) rows, -1 pads, and scores of a release.
        seeds: last items that count; with one, the source is "because you just watched ...".
        decay: weight of a seed relative to the one after it.
    """

    def __init__(self, name: str, table: Table, seeds: int, decay: float) -> None:
        self.name = name
        self._table = table
        self._seeds = seeds
        self._decay = decay

    async def fetch(self, query: Query) -> Found:
        seeds = query.liked_rows(self._seeds)
        if not len(seeds):
            return Found.nothing()
        near_rows, near_scores = self._table(query.loaded.release)
        found = near_rows[seeds]  # (s, m)
        weights = self._decay ** np.arange(len(seeds), dtype=np.float32)
        scores = near_scores[seeds] * weights[:, np.newaxis]
        real = found >= 0
        rows, slots = np.unique(found[real], return_inverse=True)
        totals = np.bincount(slots, weights=scores[real]).astype(np.float32)
        return query.allowed(Found.best(rows.astype(np.int32), totals))


def transition_table(release: SourceTables) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """What follows each item."""
    return release.transition_rows, release.transition_scores


def ease_table(release: SourceTables) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """What each item speaks for, by EASE."""
    return release.ease_rows, release.ease_scores


def neighbour_table(release: SourceTables) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """What each item is like."""
    return release.neighbour_rows, release.neighbour_scores


class FriendsSource:
    """What friends lately liked, most first."""

    name = "friends"

    async def fetch(self, query: Query) -> Found:
        friends = query.user.around.friends
        return query.allowed(Found.best(friends.rows, friends.weights))


class TrendingSource:
    """What is on the rise in the user's region and everywhere.

    An item's score is the larger of its two shares: what everybody watches counts, and so does what
    only one region does.
    """

    name = "trending"

    async def fetch(self, query: Query) -> Found:
        around = query.user.around
        rows = np.union1d(around.trend.rows, around.trend_here.rows).astype(np.int32)
        shares = np.maximum(around.trend.of(rows), around.trend_here.of(rows))
        return query.allowed(Found.best(rows, shares))


class PopularSource:
    """The most popular items; the score falls linearly with the place, from 1 to 0."""

    name = "popular"

    async def fetch(self, query: Query) -> Found:
        # All that are wanted are among the first count + excluded ones.
        rows = np.asarray(query.loaded.release.popular_rows[: query.count + query.excluded_count])
        places = np.flatnonzero(~query.excluded[rows])[: query.count]
        return Found(rows[places], (1.0 - places / len(query.loaded)).astype(np.float32))


class NewItemsSource:
    """What came after the release, nearest to the user tower's vector first, all of it compared.

    The item tower makes vectors of such items from their metadata, so they meet users in the same
    space as all others. Of equal ones, as they are for a user without history, the newest is first.
    """

    name = "new_items"

    async def fetch(self, query: Query) -> Found:
        new, first = query.new, len(query.loaded)
        places = np.flatnonzero(new.shown & ~query.excluded[first:]) if len(new) else np.empty(0)
        if not len(places):
            return Found.nothing()
        scores = new.vectors[places] @ query.loaded.tower.user_vector(query.user)
        if query.count < len(scores):
            # All that reach the last score wanted, so that of equal ones the newest stay.
            least = np.partition(scores, -query.count)[-query.count]
            places, scores = places[scores >= least], scores[scores >= least]
        best = np.lexsort((-places, -scores))[: query.count]
        return Found((first + places[best]).astype(np.int32), scores[best])


async def _nearest(
    index: VectorIndex, space: Space, vector: NDArray[np.float32], query: Query
) -> Found:
    # Excluded items are fetched and masked: an expression naming thousands of rows is far slower.
    # Of many, few are near: as many as that are fetched only when those before were not enough.
    most = min(query.count + query.excluded_count, MOST_HITS)
    wanted = min(2 * query.count, most)
    while True:
        found = await index.search(
            query.loaded.release_id, space, vector, wanted, timeout=query.seconds
        )
        allowed = query.allowed(found)
        if len(allowed) == query.count or len(found) < wanted or wanted == most:
            return allowed
        wanted = min(4 * wanted, most)
