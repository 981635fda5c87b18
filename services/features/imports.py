"""Bulk logs as frames: their columns, dtypes, and ids that a second import gives again."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.util import hash_pandas_object

FRAME_COLUMNS = ["user_id", "item_id", "kind", "value", "timestamp", "region"]

_DTYPES = {
    "user_id": object,
    "item_id": object,
    "kind": np.int8,
    "value": np.float64,
    "timestamp": np.float64,
    "region": object,
}
_KEYS = ("tandem-import-id", "tandem-import-no")  # two 64-bit hashes make collisions negligible
_HASH_CHUNK = 1_000_000


def normalized(frame: pd.DataFrame) -> pd.DataFrame:
    """The log's columns in the log's dtypes, whatever the frame's own are."""
    return frame[FRAME_COLUMNS].astype(_DTYPES)


def event_ids(frame: pd.DataFrame) -> Callable[[slice], list[str]]:
    """Ids derived from each row's content and, for equal rows, their occurrence in the frame.

    Returns:
        A function from a slice of rows to their ids, so that ids of a long log never exist all at
        once; the hashes it keeps take 24 bytes a row.
    """
    high, low = (_hashes(frame, key) for key in _KEYS)
    occurrences = _occurrences(high)

    def ids(rows: slice) -> list[str]:
        parts = zip(high[rows], low[rows], occurrences[rows], strict=True)
        return [f"import-{a:016x}{b:016x}-{n}" for a, b, n in parts]

    return ids


def _hashes(frame: pd.DataFrame, key: str) -> NDArray[np.uint64]:
    parts = [
        hash_pandas_object(
            normalized(frame.iloc[start : start + _HASH_CHUNK]), index=False, hash_key=key
        ).to_numpy()
        for start in range(0, len(frame), _HASH_CHUNK)
    ]
    return np.concatenate([np.empty(0, dtype=np.uint64), *parts])


def _occurrences(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many equal hashes come before each; counts only those that repeat, which are few."""
    occurrences = np.zeros(len(hashes), dtype=np.int64)
    series = pd.Series(hashes)
    repeated = series.duplicated(keep=False).to_numpy()
    occurrences[repeated] = series[repeated].groupby(series[repeated]).cumcount().to_numpy()
    return occurrences
