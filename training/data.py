"""What training learns from: the interaction log with its items and users."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from models.errors import ReportedError
from models.release import Items

EVENT_COLUMNS = ["user_id", "item_id", "kind", "value", "timestamp", "region"]


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
            of str), `year` (int16, 0 when unknown), `adult`, `available` (bool).
        users: every user: `user_id`, `region` (str), `friends` (tuple of user ids).
        skipped: rows left out by rule.
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
    """Orders events by time and makes rows for items and users that only events mention."""
    events = events.sort_values("timestamp", kind="stable", ignore_index=True)
    items = _with_missing(items, "item_id", events["item_id"])
    users = _with_missing(users, "user_id", events["user_id"])
    for key, table in (("item_id", items), ("user_id", users)):
        dtype = pd.CategoricalDtype(pd.Index(table[key].to_numpy(dtype=object)))
        events[key] = events[key].astype(dtype)
    events["region"] = events["region"].astype("category")
    return InteractionData(events[EVENT_COLUMNS], items, users, tuple(skipped))


def merge(data: InteractionData, extra: pd.DataFrame) -> InteractionData:
    """Adds events, for instance those recorded live. At equal times they come after `data`'s.

    Args:
        data: what is known already.
        extra: columns of `EVENT_COLUMNS`, ids and regions as str.
    """
    if extra.empty:
        return data
    parts = []
    for frame in (data.events, extra):
        part = frame[EVENT_COLUMNS].copy()
        for key in ("user_id", "item_id", "region"):
            part[key] = part[key].astype(object)
        part["kind"] = part["kind"].astype(np.int8)
        part["value"] = part["value"].astype(np.float32)
        part["timestamp"] = part["timestamp"].astype(np.float64)
        parts.append(part)
    together = pd.concat(parts, ignore_index=True)
    return assemble(together, data.items, data.users, data.skipped)


def item_table(data: InteractionData) -> Items:
    """The items of a log as a release holds them."""
    table = data.items
    return Items(
        ids=table["item_id"].to_numpy(dtype=object),
        titles=table["title"].to_numpy(dtype=object),
        genres=[tuple(genres) for genres in table["genres"]],
        years=table["year"].to_numpy(dtype=np.int16),
        adult=table["adult"].to_numpy(dtype=np.bool_),
        available=table["available"].to_numpy(dtype=np.bool_),
    )


def empty_items() -> pd.DataFrame:
    """An item table without rows."""
    return _blank_rows("item_id", [])


def empty_users() -> pd.DataFrame:
    """A user table without rows."""
    return _blank_rows("user_id", [])


def _with_missing(table: pd.DataFrame, key: str, mentioned: pd.Series) -> pd.DataFrame:
    known = set(table[key])
    missing = [value for value in pd.unique(mentioned) if value not in known]
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
        }
    else:
        columns |= {
            "region": np.full(n, "", dtype=object),
            "friends": pd.Series([()] * n, dtype=object),
        }
    return pd.DataFrame(columns)
