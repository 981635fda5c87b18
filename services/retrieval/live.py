"""Live items as the sources need them, for every release that is held."""

import asyncio
import logging
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from models.new_items import NewItemVectors
from models.scorer import TowerScorer
from services.common.live_items import LiveItem
from services.common.live_view import LiveItems
from services.retrieval.loaded import LoadedRelease
from services.retrieval.query import NewItems

_NOTHING = NewItems()

log = logging.getLogger(__name__)


@dataclass
class _Followed:
    """What the live items of one moment are in a release, to which it must not refer."""

    vectors: NewItemVectors
    items: tuple[LiveItem, ...] = ()
    new: NewItems = _NOTHING
    making: asyncio.Task[None] | None = None


class LiveVectors:
    """Makes vectors of live items by a release's item tower; in a thread, only after a change.

    While they are made, requests go on with those that were there before, unless they name rows
    beyond them. The vectors go with the release they are for. To be used on one event loop.

    Args:
        items: what to follow.
    """

    def __init__(self, items: LiveItems) -> None:
        self._items = items
        self._followed: WeakKeyDictionary[LoadedRelease, _Followed] = WeakKeyDictionary()

    async def of(self, base: LoadedRelease, largest_row: int = -1) -> NewItems:
        """The new items of a release; a row beyond them makes it read the table once more."""
        if largest_row >= len(base) + len(self._items.current()):
            await asyncio.to_thread(self._items.refresh)
        followed = self._follow(base)
        if followed is None:
            return _NOTHING
        while (making := self._making(base, followed)) is not None:
            if largest_row < len(base) + len(followed.new):
                break
            # Shielded: others wait for it, too, and whoever comes next will need it.
            await asyncio.shield(making)
        return followed.new

    async def up_to_date(self, base: LoadedRelease) -> NewItems:
        """All there is of new items at the time of the call."""
        followed = self._follow(base)
        if followed is None:
            return _NOTHING
        for _ in range(2):  # the one that runs may have begun before the last change
            if (making := self._making(base, followed)) is not None:
                await asyncio.shield(making)
        return followed.new

    def _follow(self, base: LoadedRelease) -> _Followed | None:
        """What is known of a release; None when there is nothing new for it."""
        if base not in self._followed:
            if not self._items.current() or not isinstance(base.tower, TowerScorer):
                return None
            self._followed[base] = _Followed(NewItemVectors(base.tower))
        return self._followed[base]

    def _making(self, base: LoadedRelease, followed: _Followed) -> asyncio.Task[None] | None:
        """The one task that makes a release's vectors; None when nothing changed since."""
        if followed.making is None and followed.items is not self._items.current():
            followed.making = asyncio.create_task(self._make(base, followed))
            followed.making.add_done_callback(_log_failure)
        return followed.making

    async def _make(self, base: LoadedRelease, followed: _Followed) -> None:
        try:
            items = self._items.current()
            followed.new = await asyncio.to_thread(_new_items, base, followed.vectors, items)
            followed.items = items
        finally:
            followed.making = None


def _new_items(
    base: LoadedRelease, vectors: NewItemVectors, items: tuple[LiveItem, ...]
) -> NewItems:
    row_of = base.release.items.row_of
    shown = [item.available and item.item_id not in row_of for item in items]
    return NewItems(vectors.of(items), np.array(shown))


def _log_failure(making: asyncio.Task[None]) -> None:
    if not making.cancelled() and (error := making.exception()) is not None:
        log.error("no vectors of live items", exc_info=error)
