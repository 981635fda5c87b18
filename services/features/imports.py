"""Bulk logs as frames: their columns, dtypes, and ids that a second import gives again."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.util import hash_pandas_object

from models.repeats import repeated
from models.text_codes import TextCodes

FRAME_COLUMNS = ["user_id", "item_id", "kind", "value", "timestamp", "region"]

_DTYPES: dict[str, Any] = {
    "user_id": "category",
    "item_id": "category",
    "kind": np.int8,
    "value": np.float64,
    "timestamp": np.float64,
    "region": "category",
}
_KEYS = ("tandem-import-id", "tandem-import-no")  # two 64-bit hashes make collisions negligible
_HASH_CHUNK = 1_000_000


def normalized(frame: pd.DataFrame) -> pd.DataFrame:
    """The log's columns in the log's dtypes, texts categorical, whatever the frame's own are."""
    return frame[FRAME_COLUMNS].astype(_DTYPES)


def frame_of(blocks: Iterable[Sequence[Sequence[Any]]]) -> pd.DataFrame:
    """A frame in the log's dtypes from blocks of its rows, ordered by time, then as they come.

    One block's texts exist at a time: texts become numbers as they come.
    """
    codes = {name: TextCodes() for name, dtype in _DTYPES.items() if dtype == "category"}
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in FRAME_COLUMNS}
    for rows in blocks:
        for name, values in zip(FRAME_COLUMNS, zip(*rows, strict=True), strict=True):
            part = codes[name].encode(values) if name in codes else np.array(values, _DTYPES[name])
            parts[name].append(part)
    order = np.argsort(_whole(parts["timestamp"], np.float64), kind="stable")
    columns: dict[str, object] = {}
    for name in FRAME_COLUMNS:
        whole = _whole(parts.pop(name), np.int32 if name in codes else _DTYPES[name])[order]
        columns[name] = codes[name].categorical(whole) if name in codes else whole
    return pd.DataFrame(columns, copy=False)


def _whole(parts: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype=dtype), *parts])


def event_ids(frame: pd.DataFrame) -> Callable[[slice], list[str]]:
    """Ids derived from each row's content and, for equal rows, their occurrence in the frame.

    Returns:
        A function from a slice of rows to their ids, so that ids of a long log never exist all at
        once; the hashes it keeps take 20 bytes a row.
    """
    high, low = (_hashes(frame, key) for key in _KEYS)
    occurrences = _occurrences(high)

    def ids(rows: slice) -> list[str]:
        # The digits of all rows at once: formatting number by number takes three times as long.
        digits = np.column_stack([high[rows], low[rows]]).astype(">u8").tobytes().hex()
        return [
            f"import-{digits[start : start + 32]}-{n}"
            for start, n in zip(range(0, len(digits), 32), occurrences[rows].tolist(), strict=True)
        ]

    return ids


def _hashes(frame: pd.DataFrame, key: str) -> NDArray[np.uint64]:
    parts = [
        hash_pandas_object(
            normalized(frame.iloc[start : start + _HASH_CHUNK]), index=False, hash_key=key
        ).to_numpy()
        for start in range(0, len(frame), _HASH_CHUNK)
    ]
    return np.concatenate([np.empty(0, dtype=np.uint64), *parts])


def _occurrences(hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
    """How many equal hashes come before each; counts only those that repeat, which are few."""
    occurrences = np.zeros(len(hashes), dtype=np.int32)
    twins = np.flatnonzero(repeated(hashes))
    series = pd.Series(hashes[twins])
    occurrences[twins] = series.groupby(series).cumcount().to_numpy()
    return occurrences
