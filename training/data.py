"""What training learns from: the interaction log with its items and users."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from models.errors import ReportedError
from models.release import Items

EVENT_COLUMNS = ["user_id", "item_id", "kind", "value", "timestamp", "region"]
_TEXTS = ("user_id", "item_id", "region")
_NUMBERS = {"kind": np.int8, "value": np.float32, "timestamp": np.float64}


class DataError(ReportedError):
    """Input that cannot be learnt from. One line: file, line, field and reason."""

    def __init__(
        self, file: Path | str, reason: str, *, line: int | None = None, field: str | None = None
    ) -> None:
        where = f"{file}" if line is None else f"{file}:{line}"
        super().__init__(f"{where}: {reason}" if field is None else f"{where}: {field}: {reason}")
        self.file = str(file)
        self.line = line
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class SkippedRow:
    """A row that was left out by rule."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True)
class InteractionData:
    """Events with the items and users they are about.

    Attributes:
        events: columns `user_id`, `item_id`, `region` (categorical str), `kind` (int8, numbers of
            `EventKind`), `value` (float32), `timestamp` (float64 Unix seconds), ordered by
            timestamp; file order breaks ties.
        items: every item, also those without an event: `item_id`, `title` (str), `genres` (tuple
            of str), `year` (int16, 0 when unknown), `adult`, `available` (bool), `creators` (tuple
            of str), `available_from`, `available_until` (float64 Unix seconds, 0 and inf for ever).
        users: every user: `user_id`, `region` (str), `friends` (tuple of user ids).
        skipped: rows left out by rule, the first 10,000 of each file.
    """

    events: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    skipped: Sequence[SkippedRow] = field(default_factory=tuple)

    @property
    def cut_off(self) -> float:
        """Unix seconds of the newest event; 0 without one."""
        return float(self.events["timestamp"].max()) if len(self.events) else 0.0

    def where(self, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> "InteractionData":
        """The same items and users, and the events of a mask."""
        return InteractionData(
            self.events[mask].reset_index(drop=True), self.items, self.users, self.skipped
        )


def assemble(
    events: pd.DataFrame,
    items: pd.DataFrame,
    users: pd.DataFrame,
    skipped: Sequence[SkippedRow] = (),
) -> InteractionData:
    """Orders events by time and makes rows for items and users that only events mention.

    Args:
        events: columns of `EVENT_COLUMNS`; ids and regions categorical or str. Order breaks ties.
        items, users: what is known of them; see `InteractionData`.
        skipped: rows left out by rule.
    """
    times = events["timestamp"].to_numpy(dtype=np.float64)
    order = None if _ascending(times) else np.argsort(times, kind="stable")
    columns: dict[str, Any] = {}
    for name in EVENT_COLUMNS:  # one at a time: a second copy of the whole log never exists
        column = _categorical(events[name]) if name in _TEXTS else _number(events[name])
        columns[name] = column if order is None else column[order]
    items = _with_missing(items, "item_id", columns["item_id"])
    users = _with_missing(users, "user_id", columns["user_id"])
    categories = {
        "user_id": users["user_id"].to_numpy(dtype=object),
        "item_id": items["item_id"].to_numpy(dtype=object),
        "region": np.array(sorted(columns["region"].unique()), dtype=object),
    }
    for name, texts in categories.items():
        columns[name] = columns[name].set_categories(texts)
    return InteractionData(pd.DataFrame(columns, copy=False), items, users, tuple(skipped))


def concatenated(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several frames of events, one frame after the other; texts become categorical."""
    if len(frames) == 1:
        return frames[0]
    columns: dict[str, object] = {}
    for name in EVENT_COLUMNS:
        parts = [frame[name] for frame in frames]
        if name in _TEXTS:
            columns[name] = union_categoricals([_categorical(part) for part in parts])
        else:
            columns[name] = np.concatenate([part.to_numpy() for part in parts])
    return pd.DataFrame(columns, copy=False)


def merge(data: InteractionData, extra: pd.DataFrame) -> InteractionData:
    """Adds events, for instance those recorded live. At equal times they come after `data`'s.

    Args:
        data: what is known already.
        extra: columns of `EVENT_COLUMNS`, ids and regions as str.
    """
    if extra.empty:
        return data
    together = concatenated([data.events, extra])
    return assemble(together, data.items, data.users, data.skipped)


def item_table(data: InteractionData) -> Items:
    """The items of a log as a release holds them."""
    return Items.of_table(data.items)


def empty_items() -> pd.DataFrame:
    """An item table without rows."""
    return _blank_rows("item_id", [])


def empty_users() -> pd.DataFrame:
    """A user table without rows."""
    return _blank_rows("user_id", [])


def _ascending(times: NDArray[np.float64]) -> bool:
    return bool((times[1:] >= times[:-1]).all())


def _categorical(column: pd.Series) -> pd.Categorical:
    texts = column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("category")
    return cast(pd.Categorical, texts.array)


def _number(column: pd.Series) -> NDArray[Any]:
    return column.to_numpy(dtype=_NUMBERS[str(column.name)])


def _with_missing(table: pd.DataFrame, key: str, mentioned: pd.Categorical) -> pd.DataFrame:
    known = set(table[key])
    missing = [value for value in mentioned.unique() if value not in known]
    if not missing:
        return table.reset_index(drop=True)
    return pd.concat([table, _blank_rows(key, missing)], ignore_index=True)


def _blank_rows(key: str, ids: list[str]) -> pd.DataFrame:
    n = len(ids)
    columns: dict[str, object] = {key: np.array(ids, dtype=object)}
    if key == "item_id":
        columns |= {
            "title": np.full(n, "", dtype=object),
            "genres": pd.Series([()] * n, dtype=object),
            "year": np.zeros(n, dtype=np.int16),
            "adult": np.zeros(n, dtype=np.bool_),
            "available": np.ones(n, dtype=np.bool_),
            "creators": pd.Series([()] * n, dtype=object),
            "available_from": np.zeros(n),
            "available_until": np.full(n, np.inf),
        }
    else:
        columns |= {
            "region": np.full(n, "", dtype=object),
            "friends": pd.Series([()] * n, dtype=object),
        }
    return pd.DataFrame(columns)
