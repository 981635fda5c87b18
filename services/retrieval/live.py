"""Live items as the sources need them, for every release that is held."""

import asyncio
import threading
from dataclasses import dataclass

import numpy as np

from models.new_items import NewItemVectors
from models.scorer import TowerScorer
from services.common.live_items import LiveItem
from services.common.live_view import LiveItems
from services.retrieval.loaded import LoadedRelease
from services.retrieval.query import NewItems

_NOTHING = NewItems()


@dataclass
class _Followed:
    """A release, and what the live items of one moment are in it."""

    base: LoadedRelease
    vectors: NewItemVectors
    items: tuple[LiveItem, ...] = ()
    new: NewItems = _NOTHING


class LiveVectors:
    """Makes vectors of live items by a release's item tower; in a thread, only after a change.

    Args:
        items: what to follow.
    """

    def __init__(self, items: LiveItems) -> None:
        self._items = items
        self._followed: dict[str, _Followed] = {}
        self._lock = threading.Lock()

    async def of(self, base: LoadedRelease, largest_row: int = -1) -> NewItems:
        """The new items of a release; a row beyond them makes it read the table once more."""
        items = self._items.current()
        if largest_row >= len(base) + len(items):
            await asyncio.to_thread(self._items.refresh)
            items = self._items.current()
        if not items:
            return _NOTHING
        known = self._followed.get(base.release_id)
        if known is not None and known.base is base and known.items is items:
            return known.new
        return await asyncio.to_thread(self._make, base, items)

    def forget(self, release_id: str) -> None:
        """Lets go of a release."""
        self._followed.pop(release_id, None)

    def _make(self, base: LoadedRelease, items: tuple[LiveItem, ...]) -> NewItems:
        if not isinstance(base.tower, TowerScorer):
            return _NOTHING
        with self._lock:
            known = self._followed.get(base.release_id)
            if known is None or known.base is not base:
                known = _Followed(base, NewItemVectors(base.tower))
                self._followed[base.release_id] = known
            if known.items is not items and len(items) >= len(known.items):
                row_of = base.release.items.row_of
                shown = [item.available and item.item_id not in row_of for item in items]
                known.new = NewItems(known.vectors.of(items), np.array(shown))
                known.items = items
            return known.new
