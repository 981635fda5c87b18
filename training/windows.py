"""What the towers learn from: every item new to its user, predicted from what came before."""

import numpy as np
from numpy.typing import NDArray

from models.events import NEGATIVE
from models.features import HistoryBatch
from training.sequences import EventSequences


class Windows:
    """Windows of a log. Each is an event of taste on an item new to its user.

    Attributes:
        taste: the log's events of taste.
        positions: (w,) positions in `taste`, ascending.
    """

    def __init__(self, log: EventSequences) -> None:
        mask = log.taste_mask()
        self.taste = log.select(mask)
        self.positions = self.taste.first_touches()
        self._log = log
        self._begins = _run_begins(log)[mask]  # (t,) in the log, of each event of taste

    def __len__(self) -> int:
        return len(self.positions)

    def batch(self, positions: NDArray[np.int64], length: int) -> HistoryBatch:
        """What was known just before each event: strictly earlier events of the same user.

        Of a run of events on one item (view, click, like) the last is the one of taste; none of
        them is known before it.

        Args:
            positions: (b,) some of `positions`, in any order.
            length: most events of history.
        """
        taste = self.taste
        users = np.searchsorted(taste.offsets, positions, side="right") - 1
        regions = [taste.region_names[code] for code in taste.regions[positions]]
        times = taste.times[positions]
        session = self._log.session_columns(users, self._begins[positions], times)
        return taste.histories(users, positions, times, regions, length, session)


def _run_begins(log: EventSequences) -> NDArray[np.int64]:
    """(e,) position of the first event of the run on one item that each event belongs to.

    Negative events end no run and belong to none; they begin at themselves.
    """
    positions = np.arange(len(log))
    positive = np.flatnonzero(~np.isin(log.kinds, [int(kind) for kind in NEGATIVE]))
    rows, users = log.rows[positive], log.users[positive]
    begins = np.ones(len(positive), dtype=np.bool_)
    begins[1:] = (rows[1:] != rows[:-1]) | (users[1:] != users[:-1])
    run = np.cumsum(begins) - 1
    positions[positive] = positive[begins][run]
    return positions
