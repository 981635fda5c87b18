"""Releases that can score live items, too."""

import asyncio
import threading
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.final_score import FinalScorer
from models.metadata import genre_names, genre_vectors
from models.new_items import Likes, NewItemVectors, extended_scorer
from services.common.live_items import LiveItem
from services.common.live_view import LiveItems
from services.ranking.scoring import LoadedRelease


@dataclass
class _Followed:
    """A release, what it needs for new items, and what it was last extended by."""

    base: LoadedRelease
    vectors: NewItemVectors
    likes: Likes
    genres: list[str]
    items: tuple[LiveItem, ...]
    extended: LoadedRelease


class LiveScorers:
    """Extends releases by the live items of the moment; in a thread, and only after a change.

    Args:
        items: what to follow.
    """

    def __init__(self, items: LiveItems) -> None:
        self._items = items
        self._followed: dict[str, _Followed] = {}
        self._lock = threading.Lock()

    async def extended(self, base: LoadedRelease, rows: NDArray[np.int64]) -> LoadedRelease:
        """The release with the live items; rows beyond them make it read the table once more."""
        items = self._items.current()
        if len(rows) and rows.max() >= base.n_items + len(items):
            await asyncio.to_thread(self._items.refresh)
            items = self._items.current()
        if not items:
            return base
        known = self._followed.get(base.release_id)
        if known is not None and known.base is base and known.items is items:
            return known.extended
        return await asyncio.to_thread(self._extend, base, items)

    def forget(self, release_id: str) -> None:
        """Lets go of a release."""
        self._followed.pop(release_id, None)

    def _extend(self, base: LoadedRelease, items: tuple[LiveItem, ...]) -> LoadedRelease:
        if not isinstance(base.scorer, FinalScorer) or base.release is None:
            return base
        with self._lock:
            known = self._followed.get(base.release_id)
            if known is None or known.base is not base:
                names = genre_names(base.release.items.genres)
                towers = base.scorer.towers
                likes = Likes(towers.item_vectors)
                known = _Followed(base, NewItemVectors(towers), likes, names, (), base)
                self._followed[base.release_id] = known
            if known.items is not items and len(items) >= len(known.items):
                genres = genre_vectors([item.genres for item in items], known.genres)
                vectors = known.vectors.of(items)
                scorer = extended_scorer(base.scorer, vectors, genres, known.likes.of(vectors))
                known.extended = replace(base, scorer=scorer, n_live=len(items))
                known.items = items
            return known.extended
