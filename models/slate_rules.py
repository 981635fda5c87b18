"""Rules of a slate: how many of a group it may hold, and how close together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNLIMITED = np.iinfo(np.int32).max
"""The cap of a group without one."""


@dataclass(frozen=True)
class Window:
    """At most `most` items of one group among any `within` consecutive places.

    Raises:
        ValueError: one of them is below 1.
    """

    most: int
    within: int

    def __post_init__(self) -> None:
        if self.most < 1 or self.within < 1:
            raise ValueError(f"a window of {self.most} among {self.within} places")


@dataclass(frozen=True)
class Groups:
    """Groups of candidates, one a column: genres first, then creators or whatever else.

    Attributes:
        members: (n, g) bool, whether a candidate is of a group.
        caps: (g,) int, most of each group in a slate; None for no caps.
        windows: rules of columns.

    Raises:
        ValueError: there is not one cap a column.
    """

    members: NDArray[np.bool_]
    caps: NDArray[np.integer] | None = None
    windows: tuple[tuple[slice, Window], ...] = ()

    def __post_init__(self) -> None:
        if self.caps is not None and self.caps.shape != self.members.shape[1:]:
            raise ValueError(f"{self.caps.shape} caps of {self.members.shape[1]} groups")


class SlateRules:
    """A slate in the making: which candidates may go where.

    Args:
        groups: of the candidates.
        places: of the slate.
    """

    def __init__(self, groups: Groups, places: int) -> None:
        n, n_groups = groups.members.shape
        self._members = groups.members
        self._outside = np.ascontiguousarray(~groups.members.T)
        self._room = np.full(n_groups, UNLIMITED, np.int32)
        if groups.caps is not None:
            self._room[:] = groups.caps
        self._open = np.ones(n, np.bool_)
        self._close((self._room <= 0).nonzero()[0])
        # Row s counts the places from s - within + 1 to s, so place s is in rows s onwards.
        self._windows = [
            (part, window, np.zeros((places + window.within, n_groups), np.int32)[:, part])
            for part, window in groups.windows
        ]
        self._furthest = -1

    def within_caps(self) -> NDArray[np.bool_]:
        """(n,) candidates that are not in the slate, and exceed no cap."""
        return self._open

    def allowed(self, place: int) -> NDArray[np.bool_]:
        """(n,) those of them that keep all windows around a place."""
        allowed = self._open
        for part, window, counts in self._windows:
            held = counts[place]  # while nothing stands further on, no other window holds more
            if place < self._furthest:
                held = counts[place : place + window.within].max(axis=0)
            outside = self._outside[part]
            for group in (held >= window.most).nonzero()[0]:
                allowed = allowed & outside[group]
        return allowed

    def put(self, place: int, position: int) -> None:
        """Puts a candidate into a place, whether or not that keeps the rules."""
        of_groups = self._members[position]
        own = of_groups.nonzero()[0]
        self._open[position] = False
        room = self._room[own] - 1
        self._room[own] = room
        self._close(own[room == 0])  # of those below, the members are closed out already
        for part, window, counts in self._windows:
            counts[place : place + window.within] += of_groups[part]
        self._furthest = max(self._furthest, place)

    def _close(self, groups: NDArray[np.intp]) -> None:
        for group in groups:
            self._open &= self._outside[group]


def too_close(groups: Groups, positions: NDArray[np.int32]) -> NDArray[np.int32]:
    """(k,) int32 places of a slate whose item is one too many in a window that ends there.

    None exactly when all windows are kept.
    """
    members = groups.members[positions]
    exceeding = np.zeros(len(positions), np.bool_)
    for columns, window in groups.windows:
        part = members[:, columns]
        so_far = np.cumsum(np.concatenate([np.zeros((window.within, part.shape[1]), int), part]), 0)
        counts = so_far[window.within :] - so_far[: -window.within]
        exceeding |= (part & (counts > window.most)).any(axis=1)
    return np.flatnonzero(exceeding).astype(np.int32)
