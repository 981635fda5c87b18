"""The event log as one flat array per column, user after user, oldest event first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.features import HistoryBatch, taste_mask


@dataclass(frozen=True)
class EventSequences:
    """All users' events.

    Attributes:
        offsets: (users + 1,) int64; user u owns events offsets[u] to offsets[u + 1].
        rows: (e,) int32 item rows.
        kinds: (e,) int8 numbers of `EventKind`.
        values: (e,) float32 stars, hours, else 0.
        times: (e,) float64 Unix seconds.
        regions: (e,) int32 index into `region_names`.
        region_names: names of regions; "" is unknown.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    kinds: NDArray[np.int8]
    values: NDArray[np.float32]
    times: NDArray[np.float64]
    regions: NDArray[np.int32]
    region_names: Sequence[str]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_users(self) -> int:
        return len(self.offsets) - 1

    @property
    def users(self) -> NDArray[np.int64]:
        """(e,) user of each event."""
        return np.repeat(np.arange(self.n_users), np.diff(self.offsets))

    def select(self, mask: NDArray[np.bool_]) -> "EventSequences":
        """Keeps the events of a mask, and every user, also those without an event left."""
        kept = np.concatenate([[0], np.cumsum(mask)])
        return replace(
            self,
            offsets=kept[self.offsets],
            rows=self.rows[mask],
            kinds=self.kinds[mask],
            values=self.values[mask],
            times=self.times[mask],
            regions=self.regions[mask],
        )

    def taste(self) -> "EventSequences":
        """Events of taste only: what histories are made of."""
        starts = np.zeros(len(self), dtype=np.bool_)
        begins = self.offsets[:-1]
        starts[begins[begins < len(self)]] = True
        return self.select(taste_mask(self.rows, self.kinds, starts))

    def first_touches(self) -> NDArray[np.int64]:
        """Positions, ascending, of each user's first event on each item."""
        span = int(self.rows.max(initial=0)) + 1
        _keys, first = np.unique(self.users * span + self.rows, return_index=True)
        return np.sort(first)

    def windows(self, positions: NDArray[np.int64], length: int) -> HistoryBatch:
        """What was known just before each event: strictly earlier events of the same user.

        Args:
            positions: (b,) events to be predicted.
            length: most events of history.
        """
        begins = self.offsets[np.searchsorted(self.offsets, positions, side="right") - 1]
        index = positions[:, None] - 1 - np.arange(length)
        present = index >= begins[:, None]
        index = np.where(present, index, 0)
        ages = self.times[positions][:, None] - self.times[index]
        return HistoryBatch(
            rows=np.where(present, self.rows[index], -1).astype(np.int32),
            kinds=np.where(present, self.kinds[index], 0).astype(np.int8),
            ages=np.where(present, ages, 0).astype(np.float32),
            times=self.times[positions],
            regions=[self.region_names[code] for code in self.regions[positions]],
            devices=[""] * len(positions),
        )
