"""What a user has seen, remembered from one request to the next, and found in any catalogue."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.candidates import Rows
from services.orchestrator.catalogue import Catalogue

_LATEST = 1_000
"""Ids kept apart, so that adding a few does not copy all."""


def _none() -> Rows:
    return np.empty(0, np.int32)


@dataclass(frozen=True, eq=False)
class SeenItems:
    """The items that a user has seen, by some kinds of events. Immutable.

    Rows are those of one release. They stay while it serves: its own items keep theirs, and live
    items only come after them.

    Attributes:
        version: version of the user's events that the set is of, at least; 0 without events.
        kinds: kinds of events that count, as numbers of `EventKind`; empty for any.
        rows: (n,) int32 rows of the items that the release or its live items hold, sorted.
    """

    version: int = 0
    kinds: frozenset[int] = frozenset()
    rows: Rows = field(default_factory=_none)
    _ids: tuple[str, ...] = ()
    _latest: tuple[str, ...] = ()  # ids, too
    _strangers: frozenset[str] = frozenset()  # ids without a row
    _release_id: str | None = None  # None: rows are not known
    _items: int = 0  # rows below this were looked for

    @classmethod
    def of(
        cls,
        item_ids: Iterable[str],
        catalogue: Catalogue,
        version: int = 0,
        kinds: Collection[int] = (),
    ) -> "SeenItems":
        """These items, with their rows in a catalogue."""
        return cls(version, frozenset(kinds), _ids=tuple(item_ids)).within(catalogue)

    def __len__(self) -> int:
        return len(self._ids) + len(self._latest)

    def within(self, catalogue: Catalogue) -> "SeenItems":
        """The same set with its rows in a catalogue; free in the same one as before."""
        if catalogue.release.release_id != self._release_id:
            return self._looked_up(catalogue)
        n_items = len(catalogue.items)
        if n_items == self._items:
            return self
        if n_items < self._items:  # a request that began before the latest live items came
            return self._looked_up(catalogue)
        came = catalogue.live[self._items - catalogue.n_items :]
        here = replace(self, _items=n_items)
        known = [item.item_id for item in came if item.item_id in self._strangers]
        if not known:
            return here
        return replace(
            here,
            rows=union(self.rows, catalogue.items.rows(known)),
            _strangers=self._strangers.difference(known),
        )

    def plus(self, item_ids: Iterable[str], catalogue: Catalogue, version: int) -> "SeenItems":
        """The set of a later version, with what was added to it, and its rows in a catalogue."""
        here = self.within(catalogue)
        row_of = catalogue.items.row_of
        new = [each for each in dict.fromkeys(item_ids) if each not in here._strangers]
        strangers = [item_id for item_id in new if item_id not in row_of]
        known = [item_id for item_id in new if item_id in row_of]
        rows = catalogue.items.rows(known)
        fresh = not_among(rows, here.rows)
        latest = [item_id for item_id, is_new in zip(known, fresh, strict=True) if is_new]
        here = replace(
            here,
            version=version,
            rows=union(here.rows, rows),
            _latest=(*here._latest, *latest, *strangers),
            _strangers=here._strangers.union(strangers) if strangers else here._strangers,
        )
        if len(here._latest) <= _LATEST:
            return here
        return replace(here, _ids=here._ids + here._latest, _latest=())

    def _looked_up(self, catalogue: Catalogue) -> "SeenItems":
        items, item_ids = catalogue.items, self._ids + self._latest
        found = np.fromiter(map(items.row_of.get, item_ids, repeat(-1)), np.int32, len(item_ids))
        rows = np.unique(found[found >= 0])
        strangers = frozenset(item_ids[place] for place in np.flatnonzero(found < 0).tolist())
        return replace(
            self,
            rows=rows,
            # The catalogue's own texts, which all users share.
            _ids=(*items.ids[rows].tolist(), *strangers),
            _latest=(),
            _strangers=strangers,
            _release_id=catalogue.release.release_id,
            _items=len(items),
        )


def union(rows: Rows, more: Rows) -> Rows:
    """Sorted rows with a few more; the same array when none of these is new."""
    new = np.unique(more[not_among(more, rows)])
    return np.insert(rows, np.searchsorted(rows, new), new) if len(new) else rows


def not_among(rows: Rows, dropped: Rows) -> NDArray[np.bool_]:
    """Mask of rows that are not in a sorted array."""
    if not len(dropped):
        return np.ones(len(rows), np.bool_)
    at = np.minimum(np.searchsorted(dropped, rows), len(dropped) - 1)
    absent: NDArray[np.bool_] = dropped[at] != rows
    return absent
