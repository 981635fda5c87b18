"""One request as the candidate sources see it."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.history import UserHistory, taste_mask
from models.matrix_factorization import FoldIn
from services.retrieval.loaded import UserTower
from services.retrieval.vectors import Found

Rows = NDArray[np.int32]
Scores = NDArray[np.float32]


class SourceTables(Protocol):
    """The tables that sources read; each as `models.release.Release` describes it."""

    @property
    def transition_rows(self) -> Rows: ...
    @property
    def transition_scores(self) -> Scores: ...
    @property
    def ease_rows(self) -> Rows: ...
    @property
    def ease_scores(self) -> Scores: ...
    @property
    def neighbour_rows(self) -> Rows: ...
    @property
    def neighbour_scores(self) -> Scores: ...
    @property
    def popular_rows(self) -> Rows: ...


class Searched(Protocol):
    """What sources search: a `LoadedRelease`, or what training found and has not written."""

    @property
    def release(self) -> SourceTables: ...
    @property
    def release_id(self) -> str: ...
    @property
    def tower(self) -> UserTower: ...
    @property
    def fold_in(self) -> FoldIn: ...
    def __len__(self) -> int: ...


def _none() -> NDArray[np.float32]:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class NewItems:
    """Items that came after the release; an item's row is its place here plus the release's items.

    Attributes:
        vectors: (m, d) float32 in tower space.
        shown: (m,) bool, whether it may be found: available, and not among the release's items.
    """

    vectors: NDArray[np.float32] = field(default_factory=_none)
    shown: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True)
class Query:
    """What every source is given.

    Attributes:
        loaded: the release that all must use.
        user: the user now.
        count: candidates wanted from each source.
        excluded: (n + m,) bool, items that no source may return.
        excluded_count: how many of them there are.
        seconds: time a source has.
        new: the m items that came after the release.
    """

    loaded: Searched
    user: UserHistory
    count: int
    excluded: NDArray[np.bool_]
    excluded_count: int
    seconds: float
    new: NewItems = field(default_factory=NewItems)

    def liked_rows(self, most: int) -> NDArray[np.int32]:
        """(h,) rows of the last events that count as taste, newest first."""
        return self.user.rows[taste_mask(self.user.rows, self.user.kinds)][::-1][:most]

    def allowed(self, found: Found) -> Found:
        """The first `count` items that may be returned."""
        keep = np.flatnonzero(~self.excluded[found.rows])[: self.count]
        return Found(found.rows[keep], found.scores[keep])
