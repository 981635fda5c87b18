"""The event log as one flat array per column, user after user, oldest event first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.features import HistoryBatch
from models.history import taste_mask
from models.session import COLUMNS, SESSION_LENGTH, session_features
from training.data import InteractionData


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

    def taste_mask(self) -> NDArray[np.bool_]:
        """(e,) events of taste, which histories are made of; see `models.history.taste_mask`."""
        starts = np.zeros(len(self), dtype=np.bool_)
        begins = self.offsets[:-1]
        starts[begins[begins < len(self)]] = True
        return taste_mask(self.rows, self.kinds, starts)

    def taste(self) -> "EventSequences":
        """Events of taste only."""
        return self.select(self.taste_mask())

    def first_touches(self) -> NDArray[np.int64]:
        """Positions, ascending, of each user's first event on each item."""
        span = int(self.rows.max(initial=0)) + 1
        _keys, first = np.unique(self.users * span + self.rows, return_index=True)
        return np.sort(first)

    def session_columns(
        self, users: NDArray[np.int64], ends: NDArray[np.int64], times: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(b, s) `models.session.COLUMNS` of users' last events of any kind, as of `times`.

        Args:
            users: (b,) users.
            ends: (b,) position after each user's newest known event.
            times: (b,) the moments, in Unix seconds.
        """
        if not len(self):
            return np.zeros((len(users), len(COLUMNS)), np.float32)
        index, present = self._before(users, ends, SESSION_LENGTH)
        ages = np.maximum(times[:, None] - self.times[index], 0)
        return session_features(
            np.where(present, self.kinds[index], 0).astype(np.int8),
            np.where(present, ages, 0).astype(np.float32),
            np.where(present, self.values[index], 0).astype(np.float32),
        ).columns

    def histories(
        self,
        users: NDArray[np.int64],
        ends: NDArray[np.int64],
        times: NDArray[np.float64],
        regions: Sequence[str],
        length: int,
        session: NDArray[np.float32],
    ) -> HistoryBatch:
        """The last events of users before given positions, most recent first.

        Args:
            users: (b,) users.
            ends: (b,) position after each user's newest known event.
            times: (b,) the moments that ages are relative to, in Unix seconds.
            regions: b regions of the requests.
            length: most events of history.
            session: (b, s) `session_columns`, of all events where these are some.
        """
        if not len(self):
            return _no_histories(times, regions, length, session)
        index, present = self._before(users, ends, length)
        ages = np.maximum(times[:, None] - self.times[index], 0)
        return HistoryBatch(
            rows=np.where(present, self.rows[index], -1).astype(np.int32),
            kinds=np.where(present, self.kinds[index], 0).astype(np.int8),
            ages=np.where(present, ages, 0).astype(np.float32),
            times=times,
            regions=regions,
            devices=[""] * len(users),
            session=session,
        )

    def _before(
        self, users: NDArray[np.int64], ends: NDArray[np.int64], length: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(b, length) positions before each end, newest first, and which of them are the user's."""
        index = ends[:, None] - 1 - np.arange(length)
        present = index >= self.offsets[users][:, None]
        return np.where(present, index, 0), present


def _no_histories(
    times: NDArray[np.float64],
    regions: Sequence[str],
    length: int,
    session: NDArray[np.float32],
) -> HistoryBatch:
    shape = (len(times), length)
    return HistoryBatch(
        rows=np.full(shape, -1, dtype=np.int32),
        kinds=np.zeros(shape, dtype=np.int8),
        ages=np.zeros(shape, dtype=np.float32),
        times=times,
        regions=regions,
        devices=[""] * len(times),
        session=session,
    )


def event_sequences(data: InteractionData) -> EventSequences:
    """The log of `data`. Users and items are numbered by their rows in its tables."""
    events = data.events
    users = events["user_id"].cat.codes.to_numpy()
    order = np.argsort(users, kind="stable")
    counts = np.bincount(users, minlength=len(data.users))
    regions = events["region"].cat
    # Code -1, no region, becomes the last name.
    return EventSequences(
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        rows=events["item_id"].cat.codes.to_numpy()[order].astype(np.int32),
        kinds=events["kind"].to_numpy(dtype=np.int8)[order],
        values=events["value"].to_numpy(dtype=np.float32)[order],
        times=events["timestamp"].to_numpy(dtype=np.float64)[order],
        regions=regions.codes.to_numpy()[order].astype(np.int32),
        region_names=(*regions.categories, ""),
    )
