"""What further files of events do to those before them: they repeat, they add, they override.

A rating is a state, and the file given later knows better: its ratings replace those of earlier
files, whatever times the two carry.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.events import EventKind
from models.repeats import repeated

_FACTOR, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)
_BLOCK = 1 << 20  # rows mixed at a time


def repeats(events: pd.DataFrame) -> NDArray[np.bool_]:
    """(n,) whether a row equals an earlier one in every column.

    Args:
        events: texts categorical, so that rows can be compared by number.
    """
    twins = np.flatnonzero(repeated(_keys(events)))
    found = np.zeros(len(events), dtype=np.bool_)
    found[twins] = events.iloc[twins].duplicated().to_numpy()  # exact, should keys collide
    return found


def overriding_times(events: pd.DataFrame, starts: list[int]) -> NDArray[np.float64]:
    """Times under which a rating of a further file comes after the ratings it replaces.

    A rating that is not later than one of the same user and item in an earlier file gets the next
    moment after that one: a fraction of a microsecond. It is then the latest wherever events are
    ordered by time: in the event log, whatever arrived there before, in histories, in training.

    Args:
        events: all files, one after the other, with categorical ids.
        starts: the row at which each file starts, ascending.

    Returns:
        (n,) Unix seconds; all but those of overriding ratings are the rows' own.
    """
    times = events["timestamp"].to_numpy(dtype=np.float64, copy=True)
    ratings = np.flatnonzero(events["kind"].to_numpy() == EventKind.RATING)
    users, items = (events[name].cat.codes.to_numpy()[ratings] for name in ("user_id", "item_id"))
    pairs = users.astype(np.int64) * len(events["item_id"].cat.categories) + items
    files = np.searchsorted(ratings, [*starts, len(events)])
    for start, end in list(pairwise(files.tolist()))[1:]:
        further = pairs[start:end]
        earlier = np.flatnonzero(pd.Series(pairs[:start]).isin(further).to_numpy())
        newest = pd.Series(times[ratings[earlier]]).groupby(pairs[earlier]).max()
        replaced = newest.reindex(further).to_numpy(dtype=np.float64)  # NaN: nothing to replace
        own = times[ratings[start:end]]
        times[ratings[start:end]] = np.where(own <= replaced, np.nextafter(replaced, np.inf), own)
    return times


def _keys(events: pd.DataFrame) -> NDArray[np.uint64]:
    """(n,) a hash of each row, made block by block."""
    columns = [_numbers(events[name]) for name in events.columns]
    keys = np.zeros(len(events), dtype=np.uint64)
    for start in range(0, len(events), _BLOCK):
        block = keys[start : start + _BLOCK]
        for column in columns:
            block ^= _bits(column[start : start + _BLOCK])
            block *= _FACTOR
            block ^= block >> _SHIFT
    return keys


def _numbers(column: pd.Series) -> NDArray[Any]:
    is_text = isinstance(column.dtype, pd.CategoricalDtype)
    return (column.cat.codes if is_text else column).to_numpy()


def _bits(numbers: NDArray[Any]) -> NDArray[np.uint64]:
    if numbers.dtype.kind != "f":
        return numbers.astype(np.uint64)
    return (numbers.astype(np.float64) + 0.0).view(np.uint64)  # -0.0 becomes 0.0, which it equals
