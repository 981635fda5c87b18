"""Reads an interaction log from disk: a MovieLens directory, or Tandem's general log.

A MovieLens directory holds `ratings.csv` and `movies.csv`. A general log holds `events`, and
optionally `items` and `users`, each as `.csv` or `.parquet`.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from models.events import EventKind
from training.data import DataError, InteractionData, SkippedRow, assemble, empty_items, empty_users
from training.fields import Flag, Identifier, Kind, Number, Text, Time
from training.tables import line_numbers, read_header, read_table

log = logging.getLogger(__name__)

_MAX_STARS = 10.0
_MAX_YEAR = 9_999.0

_RATINGS = (
    Identifier("userId"),
    Identifier("movieId"),
    Number("rating", high=_MAX_STARS),
    Time("timestamp"),
)
_MOVIES = (Identifier("movieId"), Text("title"), Text("genres"))
_EVENTS = (
    Identifier("user_id"),
    Identifier("item_id"),
    Kind("event"),
    Number("value", required=False, may_be_empty=True),
    Time("timestamp"),
    Text("region", required=False),
)
_ITEMS = (
    Identifier("item_id"),
    Text("title", required=False),
    Text("genres", required=False),
    Number("year", required=False, may_be_empty=True, high=_MAX_YEAR),
    Flag("adult", required=False),
    Flag("available", required=False, default=True),
)
_USERS = (
    Identifier("user_id"),
    Text("region", required=False),
    Text("friends", required=False),
)
_NO_GENRES = "(no genres listed)"


def read(directory: Path, also: Sequence[Path] = ()) -> InteractionData:
    """Reads a log.

    Args:
        directory: a MovieLens directory or a general log.
        also: further event files, in either layout; at equal times theirs come later.

    Raises:
        DataError: something is missing or broken; one line names file, line, field and reason.
    """
    if not directory.is_dir():
        raise DataError(directory, "no such directory")
    if (directory / "ratings.csv").exists():
        files, items, users = [directory / "ratings.csv"], _read_movies(directory), empty_users()
    else:
        events = _find(directory, "events")
        if events is None:
            raise DataError(directory, "holds neither ratings.csv nor events.csv or events.parquet")
        files, items, users = [events], _read_items(directory), _read_users(directory)
    skipped: list[SkippedRow] = []
    frames = [_read_events(file, skipped) for file in [*files, *also]]
    return assemble(pd.concat(frames, ignore_index=True), items, users, skipped)


def _find(directory: Path, name: str) -> Path | None:
    candidates = (directory / f"{name}.csv", directory / f"{name}.parquet")
    return next((path for path in candidates if path.exists()), None)


def _read_events(path: Path, skipped: list[SkippedRow]) -> pd.DataFrame:
    if "movieId" in read_header(path):
        frame = read_table(path, _RATINGS)
        frame.columns = pd.Index(["user_id", "item_id", "value", "timestamp"])
        frame["kind"] = np.int8(EventKind.RATING)
    else:
        frame = read_table(path, _EVENTS).rename(columns={"event": "kind"})
        if "value" not in frame:
            frame["value"] = 0.0
    if "region" not in frame:
        frame["region"] = ""
    frame = _without_duplicates(frame, path, skipped)
    for name in ("user_id", "item_id", "region"):
        frame[name] = frame[name].astype(object)
    return frame.astype({"value": np.float32})


def _without_duplicates(frame: pd.DataFrame, path: Path, skipped: list[SkippedRow]) -> pd.DataFrame:
    """Skips rows that repeat an earlier one in every column, and counts them.

    A rating is a state: the same one twice means a broken export, and is refused. Any other event
    may well have come twice within one second.
    """
    repeated = frame.duplicated().to_numpy()
    ratings = np.flatnonzero(repeated & (frame["kind"] == EventKind.RATING).to_numpy())
    if len(ratings):
        line = line_numbers(path, ratings[:1])[0]
        raise DataError(path, "the rating repeats an earlier row", line=line, field="rating")
    if repeated.any():
        lines = line_numbers(path, np.flatnonzero(repeated))
        log.warning(
            "%s:%d: %d repeated rows skipped, this is the first", path, lines[0], len(lines)
        )
        skipped.extend(SkippedRow(str(path), line, "exact duplicate of a row") for line in lines)
    return frame[~repeated]


def _read_movies(directory: Path) -> pd.DataFrame:
    path = directory / "movies.csv"
    frame = read_table(path, _MOVIES).rename(columns={"movieId": "item_id"})
    titles = frame["title"].astype(str)
    year = titles.str.extract(r"\((\d{4})\)\s*$", expand=False)
    frame["year"] = pd.to_numeric(year).fillna(0)
    frame["genres"] = frame["genres"].astype(str).replace(_NO_GENRES, "")
    return _item_table(frame, path)


def _read_items(directory: Path) -> pd.DataFrame:
    path = _find(directory, "items")
    return empty_items() if path is None else _item_table(read_table(path, _ITEMS), path)


def _item_table(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    _refuse_repeated(frame["item_id"], path)
    blank = pd.Series("", index=frame.index)
    return pd.DataFrame(
        {
            "item_id": frame["item_id"].astype(object),
            "title": frame.get("title", blank).astype(object),
            "genres": _split(frame.get("genres", blank)),
            "year": frame.get("year", pd.Series(0, index=frame.index)).astype(np.int16),
            "adult": frame.get("adult", pd.Series(False, index=frame.index)).astype(bool),
            "available": frame.get("available", pd.Series(True, index=frame.index)).astype(bool),
        }
    )


def _read_users(directory: Path) -> pd.DataFrame:
    path = _find(directory, "users")
    if path is None:
        return empty_users()
    frame = read_table(path, _USERS)
    _refuse_repeated(frame["user_id"], path)
    blank = pd.Series("", index=frame.index)
    return pd.DataFrame(
        {
            "user_id": frame["user_id"].astype(object),
            "region": frame.get("region", blank).astype(object),
            "friends": _split(frame.get("friends", blank)),
        }
    )


def _refuse_repeated(ids: pd.Series, path: Path) -> None:
    repeated = np.flatnonzero(ids.duplicated().to_numpy())
    if len(repeated):
        line = line_numbers(path, repeated[:1])[0]
        raise DataError(
            path, f"{ids.iloc[repeated[0]]!r} occurs twice", line=line, field=str(ids.name)
        )


def _split(texts: pd.Series) -> pd.Series:
    parts = [tuple(part for part in str(text).split("|") if part) for text in texts]
    return pd.Series(parts, index=texts.index, dtype=object)
