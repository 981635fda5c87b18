"""All items there are for a request: a release's, with what was upserted since laid over them."""

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.release import Items, Release
from services.common.live_items import LiveItem

if TYPE_CHECKING:
    from models.new_items import NewItemVectors


Rows = NDArray[np.int32]

_MOST_MASKS = 64

_PRIOR_COLUMN = -1
"""That of `models.scorer`, which needs torch. Items without events have the smallest prior."""


@dataclass(frozen=True)
class _LaidOver(Items):
    """Items of which some rows stand for no item: those of live items that the release holds."""

    known: dict[str, int] = field(default_factory=dict)

    @cached_property
    def row_of(self) -> dict[str, int]:
        return self.known


@dataclass(frozen=True)
class Members:
    """Which items are in which groups: flat, since most items are in few of many.

    Attributes:
        columns: number of each group, by name.
        starts, counts: (n,) int32 where each item's numbers begin in `flat`, and how many it has.
        flat: (m,) int32 numbers of groups.
        masks: which items are in any of some groups, by names, as they were asked for.
    """

    columns: dict[str, int]
    starts: NDArray[np.int32]
    counts: NDArray[np.int32]
    flat: NDArray[np.int32]
    masks: dict[frozenset[str], NDArray[np.bool_]] = field(default_factory=dict, compare=False)

    @classmethod
    def among(cls, groups: Sequence[tuple[str, ...]]) -> "Members":
        """Of n items, by the names of each one's groups."""
        nothing = np.empty(0, np.int32)
        names = sorted({name for each in groups for name in each})
        empty = cls({name: at for at, name in enumerate(names)}, nothing, nothing, nothing)
        return empty.with_more(range(len(groups)), groups)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the groups, by number."""
        return tuple(self.columns)

    def of(self, rows: Rows) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
        """Each membership of some items: position of the item, and number of the group."""
        counts = self.counts[rows]
        owners = np.repeat(np.arange(len(rows)), counts)
        ends = np.cumsum(counts)
        within = np.arange(len(owners)) - np.repeat(ends - counts, counts)
        return owners, self.flat[np.repeat(self.starts[rows], counts) + within]

    def dense(self, rows: Rows) -> NDArray[np.bool_]:
        """(r, g) of some items, column-major."""
        owners, groups = self.of(rows)
        members = np.zeros((len(self.columns), len(rows)), np.bool_)
        members[groups, owners] = True
        return members.T

    def any_of(self, names: Collection[str], rows: Rows) -> NDArray[np.bool_]:
        """(r,) whether items are in any of some groups; names that no item has, have none."""
        if not names:
            return np.zeros(len(rows), np.bool_)
        mask = self.masks.get(asked := frozenset(names))
        if mask is None:
            if len(self.masks) >= _MOST_MASKS:
                self.masks.clear()
            mask = self.masks[asked] = self._mask(asked)
        within: NDArray[np.bool_] = mask[rows]
        return within

    def _mask(self, names: Set[str]) -> NDArray[np.bool_]:
        """(n,) of all items: rules ask the same of every request."""
        table = np.zeros(len(self.columns), np.bool_)
        table[[self.columns[name] for name in names if name in self.columns]] = True
        owners, groups = self.of(np.arange(len(self.starts), dtype=np.int32))
        mask = np.zeros(len(self.starts), np.bool_)
        mask[owners[table[groups]]] = True
        return mask

    def with_more(self, rows: Sequence[int], groups: Sequence[tuple[str, ...]]) -> "Members":
        """The same with groups of further rows, or other groups of known ones."""
        names = dict.fromkeys(name for each in groups for name in each if name not in self.columns)
        columns = {**self.columns, **dict(zip(names, count(len(self.columns)), strict=False))}
        n = max(len(self.starts), max(rows, default=-1) + 1)
        sizes = np.fromiter(map(len, groups), np.int32, len(groups))
        starts, counts = (np.resize(part, n) for part in (self.starts, self.counts))
        counts[len(self.counts) :] = 0
        at = np.asarray(rows, np.int64)
        starts[at] = len(self.flat) + np.cumsum(sizes) - sizes
        counts[at] = sizes
        more = np.array([columns[name] for each in groups for name in each], np.int32)
        return Members(columns, starts, counts, np.concatenate([self.flat, more]))


@lru_cache(maxsize=4)
def _genres_of(release: Release) -> Members:
    return Members.among(release.items.genres)


@lru_cache(maxsize=4)
def _creators_of(release: Release) -> Members:
    return Members.among(release.items.creators)


@dataclass(frozen=True)
class Unheard:
    """Live items that a release holds without any events: it was trained soon after they came.

    Attributes:
        rows: (h,) int32, in order.
        first_seen: (h,) float64 when each was first upserted, in Unix seconds.
    """

    rows: NDArray[np.int32]
    first_seen: NDArray[np.float64]


_NONE_UNHEARD = Unheard(np.empty(0, np.int32), np.empty(0))


@dataclass(frozen=True)
class Catalogue:
    """A release and the live items of one moment. Immutable; requests are pinned to one.

    A live item that the release does not hold has a row after the release's, by its number; one
    that it holds keeps its row and changes what is known of it. A release without live items is
    its own arrays.

    Attributes:
        release: the release.
        items: of both, n + m rows.
        live: the m live items, by number.
        new_vectors: (m, d) float32 tower vectors of the live items.
        first_seen: (m,) float64 when each was first upserted, in Unix seconds.
        tower: makes vectors of new items; None until it is needed.
        unheard: live items that the release holds, and that nobody watched before it was trained.
    """

    release: Release
    items: Items
    live: tuple[LiveItem, ...]
    new_vectors: NDArray[np.float32]
    first_seen: NDArray[np.float64]
    tower: "NewItemVectors | None" = None
    unheard: Unheard = _NONE_UNHEARD

    @classmethod
    def of(cls, release: Release) -> "Catalogue":
        """The release alone."""
        nothing = np.empty((0, release.item_vectors.shape[1]), np.float32)
        return cls(release, release.items, (), nothing, np.empty(0))

    @property
    def n_items(self) -> int:
        """Items of the release; rows of histories are below this."""
        return len(self.release.items)

    def vectors(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """(r, d) float32 tower vectors of rows."""
        known = rows < self.n_items
        if known.all():
            return np.asarray(self.release.item_vectors[rows], dtype=np.float32)
        vectors = np.empty((len(rows), self.new_vectors.shape[1]), np.float32)
        vectors[known] = self.release.item_vectors[rows[known]]
        vectors[~known] = self.new_vectors[rows[~known] - self.n_items]
        return vectors

    def with_live(self, live: tuple[LiveItem, ...]) -> "Catalogue":
        """The release with these live items instead; without a tower their vectors are zero."""
        if not live:
            return Catalogue.of(self.release)
        vectors = np.zeros((len(live), self.new_vectors.shape[1]), np.float32)
        catalogue = Catalogue(
            self.release,
            _laid_over(self.release.items, live),
            live,
            vectors if self.tower is None else self.tower.of(live),
            np.array([item.created_at for item in live]),
            self.tower,
            _unheard(self.release, live),
        )
        _ = catalogue.genres, catalogue.creators  # now, not while a request waits
        return catalogue

    def born(self, rows: NDArray[np.int32]) -> NDArray[np.float64]:
        """(r,) when each was first upserted, in Unix seconds; -inf for all but new items.

        New are live items that the release does not hold, or that it holds without any events.
        """
        born = np.full(len(rows), -np.inf)
        after = rows >= self.n_items
        born[after] = self.first_seen[rows[after] - self.n_items]
        at = np.searchsorted(self.unheard.rows, rows)
        found = np.flatnonzero(np.append(self.unheard.rows, -1)[at] == rows)
        born[found] = self.unheard.first_seen[at[found]]
        return born

    @cached_property
    def genres(self) -> Members:
        """Genres of all items."""
        return self._with_live(_genres_of(self.release), [item.genres for item in self.live])

    @cached_property
    def creators(self) -> Members:
        """Creators of all items."""
        return self._with_live(_creators_of(self.release), [item.creators for item in self.live])

    def _with_live(self, known: Members, groups: list[tuple[str, ...]]) -> Members:
        row_of = self.items.row_of
        return known.with_more([row_of[item.item_id] for item in self.live], groups)

    @cached_property
    def needs_tower(self) -> bool:
        """Whether there are items whose vectors only the release's towers can make."""
        if self.tower is not None:
            return False
        return any(item.item_id not in self.release.items.row_of for item in self.live)

    def with_tower(self, tower: "NewItemVectors") -> "Catalogue":
        """The same with true vectors."""
        return replace(self, new_vectors=tower.of(self.live), tower=tower)


def load_tower(release: Release) -> "NewItemVectors":
    """What makes vectors of new items. Blocks for seconds when the process is new to torch.

    Raises:
        ReleaseError: the towers are missing or damaged.
    """
    # Here, for torch is large and slow to import, and without live items it is not needed.
    from models.new_items import NewItemVectors
    from models.scorer import TwoTowerScorer

    return NewItemVectors(TwoTowerScorer(release))


def _laid_over(base: Items, live: tuple[LiveItem, ...]) -> Items:
    n = len(base)
    held = [(base.row_of[item.item_id], item) for item in live if item.item_id in base.row_of]
    items = _LaidOver(
        ids=np.concatenate([base.ids, _objects([item.item_id for item in live])]),
        titles=np.concatenate([base.titles, _objects([item.title for item in live])]),
        genres=base.genres + [item.genres for item in live],
        years=np.concatenate([base.years, np.array([item.year for item in live], np.int16)]),
        adult=np.concatenate([base.adult, np.array([item.adult for item in live])]),
        available=np.concatenate(
            [base.available, [item.available and item.item_id not in base.row_of for item in live]]
        ),
        creators=base.creators + [item.creators for item in live],
        available_from=np.append(base.available_from, [item.available_from for item in live]),
        available_until=np.append(base.available_until, [item.end for item in live]),
        known={item.item_id: n + item.seq for item in live} | base.row_of,
    )
    for row, item in held:
        items.titles[row], items.genres[row], items.years[row] = item.title, item.genres, item.year
        items.adult[row], items.available[row] = item.adult, item.available
        items.creators[row] = item.creators
        items.available_from[row], items.available_until[row] = item.available_from, item.end
    return items


def _unheard(release: Release, live: tuple[LiveItem, ...]) -> Unheard:
    row_of = release.items.row_of
    held = {row_of[item.item_id]: item.created_at for item in live if item.item_id in row_of}
    if not held:
        return _NONE_UNHEARD
    rows = np.array(sorted(held), np.int32)
    prior = release.item_vectors[:, _PRIOR_COLUMN]
    rows = rows[prior[rows] == prior.min()]
    return Unheard(rows, np.array([held[row] for row in rows.tolist()]))


def _objects(texts: list[str]) -> NDArray[np.object_]:
    return np.array(texts, dtype=object)
