"""An interaction log in memory, wherever it came from."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from training.general_log import read_events, read_items, read_users
from training.movielens import is_movielens, read_movies, read_ratings
from training.tables import DataError

__all__ = ["DataError", "InteractionData", "merge_events", "read_data"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InteractionData:
    """Who did what to which item, and when.

    Attributes:
        events: columns `user_id`, `item_id`, `region` (str), `kind` (int8, numbers of
            `EventKind`), `value` (float64), `timestamp` (float64, Unix seconds); in order of time,
            ties in file order.
        items: columns `item_id`, `title` (str), `genres` (tuples of str), `year` (int16, 0 when
            unknown), `adult`, `available` (bool); items of events may be missing here.
        users: columns `user_id`, `region` (str), `friends` (tuples of user ids); likewise.
    """

    events: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame


def read_data(folder: Path, also: Sequence[Path] = ()) -> InteractionData:
    """Reads a MovieLens folder, or one with a general log (docs/data.md).

    Args:
        folder: holds `ratings.csv` and `movies.csv`, or `events.*` and optionally `items.*` and
            `users.*`.
        also: further files of ratings or events, merged in.

    Raises:
        DataError: a file is missing or broken; nothing was changed anywhere.
    """
    if not folder.is_dir():
        raise DataError(folder, "no such folder")
    if is_movielens(folder):
        events, items = read_ratings(folder / "ratings.csv"), read_movies(folder / "movies.csv")
        users = pd.DataFrame({"user_id": [], "region": [], "friends": []}, dtype=object)
    else:
        events = read_events(_find(folder, "events", required=True))
        items = read_items(_find(folder, "items"))
        users = read_users(_find(folder, "users"))
    more = [_read_further(path) for path in also]
    return InteractionData(_in_order([events, *more]), items, users)


def merge_events(data: InteractionData, events: pd.DataFrame) -> InteractionData:
    """The data with its events replaced by those of a fuller log, in order of time."""
    return replace(data, events=_in_order([events]))


def _read_further(path: Path) -> pd.DataFrame:
    with_ratings = path.name.startswith("ratings")
    return read_ratings(path) if with_ratings else read_events(path)


def _find(folder: Path, stem: str, required: bool = False) -> Path | None:
    for suffix in (".csv", ".parquet"):
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    if required:
        raise DataError(
            folder, f"holds neither ratings.csv and movies.csv, nor {stem}.csv or {stem}.parquet"
        )
    return None


def _in_order(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts).sort_values("timestamp", kind="stable", ignore_index=True)
