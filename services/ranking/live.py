"""Releases that can score live items, too."""

import asyncio
import logging
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from models.final_score import FinalScorer
from models.metadata import genre_names, genre_vectors
from models.new_items import Likes, NewItemVectors, extended_scorer
from services.common.live_items import LiveItem
from services.common.live_view import LiveItems
from services.ranking.scoring import LoadedRelease

log = logging.getLogger(__name__)


@dataclass
class _Followed:
    """What a release needs for new items, and what it was last extended by.

    It must not refer to the release as it was loaded, which it would keep in memory for good.
    """

    vectors: NewItemVectors
    likes: Likes
    genres: list[str]
    items: tuple[LiveItem, ...] = ()
    extended: LoadedRelease | None = None
    extending: asyncio.Task[None] | None = None


class LiveScorers:
    """Extends releases by the live items of the moment; in a thread, and only after a change.

    While a release is being extended, requests go on with what it was extended by before, unless
    they have rows that it does not know. An extension goes with the release that it is of. To be
    used on one event loop.

    Args:
        items: what to follow.
    """

    def __init__(self, items: LiveItems) -> None:
        self._items = items
        self._followed: WeakKeyDictionary[LoadedRelease, _Followed] = WeakKeyDictionary()

    async def extended(self, base: LoadedRelease, rows: NDArray[np.int64]) -> LoadedRelease:
        """The release with live items; rows beyond them make it read the table once more."""
        end = int(rows.max()) + 1 if len(rows) else 0
        if end > base.n_items + len(self._items.current()):
            await asyncio.to_thread(self._items.refresh)
        followed = self._follow(base)
        if followed is None:
            return base
        while True:
            known = followed.extended or base
            extending = self._extending(base, followed)
            if extending is None or end <= known.n_items + known.n_live:
                return known
            # Shielded: others wait for it, too, and whoever comes next will need it.
            await asyncio.shield(extending)

    async def up_to_date(self, base: LoadedRelease) -> LoadedRelease:
        """The release with all there is of live items at the time of the call."""
        followed = self._follow(base)
        if followed is None:
            return base
        for _ in range(2):  # the one that runs may have begun before the last change
            if (extending := self._extending(base, followed)) is not None:
                await asyncio.shield(extending)
        return followed.extended or base

    def _follow(self, base: LoadedRelease) -> _Followed | None:
        """What is known of a release; None when nothing is to be added to it."""
        if base not in self._followed:
            if not self._items.current() or base.release is None:
                return None
            if not isinstance(base.scorer, FinalScorer):
                return None
            towers, genres = base.scorer.towers, genre_names(base.release.items.genres)
            self._followed[base] = _Followed(
                NewItemVectors(towers), Likes(towers.item_vectors), genres
            )
        return self._followed[base]

    def _extending(self, base: LoadedRelease, followed: _Followed) -> asyncio.Task[None] | None:
        """The one task that extends the release; None when nothing changed since the last."""
        if followed.extending is None and followed.items is not self._items.current():
            followed.extending = asyncio.create_task(self._extend(base, followed))
            followed.extending.add_done_callback(_log_failure)
        return followed.extending

    async def _extend(self, base: LoadedRelease, followed: _Followed) -> None:
        try:
            items = self._items.current()
            followed.extended = await asyncio.to_thread(_extended, base, followed, items)
            followed.items = items
        finally:
            followed.extending = None


def _extended(
    base: LoadedRelease, followed: _Followed, items: tuple[LiveItem, ...]
) -> LoadedRelease:
    assert isinstance(base.scorer, FinalScorer)
    genres = genre_vectors([item.genres for item in items], followed.genres)
    vectors = followed.vectors.of(items)
    scorer = extended_scorer(base.scorer, vectors, genres, followed.likes.of(vectors))
    return replace(base, scorer=scorer, n_live=len(items))


def _log_failure(extending: asyncio.Task[None]) -> None:
    if not extending.cancelled() and (error := extending.exception()) is not None:
        log.error("not extended by live items", exc_info=error)
