"""Small logs for tests."""

from collections.abc import Sequence

import numpy as np

from models.events import EventKind
from models.release import Items
from training.sequences import EventSequences

Event = tuple[int, EventKind, float]


def sequences(*users: Sequence[int | Event]) -> EventSequences:
    """A log from each user's events, oldest first: item rows (clicks a minute apart), or tuples of
    row, kind and value."""
    events = [[e if isinstance(e, tuple) else (e, EventKind.CLICK, 0.0) for e in u] for u in users]
    flat = [event for user in events for event in user]
    lengths = [len(user) for user in events]
    return EventSequences(
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        rows=np.array([row for row, _, _ in flat], dtype=np.int32),
        kinds=np.array([int(kind) for _, kind, _ in flat], dtype=np.int8),
        values=np.array([value for _, _, value in flat], dtype=np.float32),
        times=np.concatenate([[0.0], *(np.arange(n) * 60.0 for n in lengths)])[1:],
        regions=np.zeros(len(flat), dtype=np.int32),
        region_names=("",),
    )


def catalogue(n: int, genres: Sequence[str] = ()) -> Items:
    """n items; item i has the genre i modulo their number."""
    return Items(
        ids=np.array([f"i{row}" for row in range(n)], dtype=object),
        titles=np.full(n, "", dtype=object),
        genres=[(genres[row % len(genres)],) if genres else () for row in range(n)],
        years=np.zeros(n, dtype=np.int16),
        adult=np.zeros(n, dtype=np.bool_),
        available=np.ones(n, dtype=np.bool_),
        creators=[()] * n,
        available_from=np.zeros(n),
        available_until=np.full(n, np.inf),
    )
