"""Reads an interaction log from disk: a MovieLens directory, or Tandem's general log.

A MovieLens directory holds `ratings.csv` and `movies.csv`. A general log holds `events`, and
optionally `items` and `users`, each as `.csv` or `.parquet`.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.events import EventKind
from training.data import (
    DataError,
    InteractionData,
    SkippedRow,
    assemble,
    concatenated,
    empty_items,
    empty_users,
)
from training.fields import Flag, Identifier, Kind, Number, Text, Time
from training.supplements import overriding_times, repeats
from training.tables import BLOCK_BYTES, line_numbers, read_header, read_table

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
    Text("creators", required=False),
    Time("available_from", required=False, may_be_empty=True),
    Time("available_until", required=False, may_be_empty=True),
)
_USERS = (
    Identifier("user_id"),
    Text("region", required=False),
    Text("friends", required=False),
)
_MOST_NAMED = 10_000  # skipped rows of a file that are named one by one
_NO_GENRES = "(no genres listed)"


def read(
    directory: Path, also: Sequence[Path] = (), block_bytes: int = BLOCK_BYTES
) -> InteractionData:
    """Reads a log.

    Args:
        directory: a MovieLens directory or a general log.
        also: further event files, in either layout. Rows that repeat one of an earlier file are
            skipped; a rating replaces those of the same user and item in earlier files, whatever
            its time; at equal times theirs come later.
        block_bytes: how much of a file is read at a time.

    Raises:
        DataError: something is missing or broken; one line names file, line, field and reason.
    """
    if not directory.is_dir():
        raise DataError(directory, "no such directory")
    if (directory / "ratings.csv").exists():
        files, items, users = [directory / "ratings.csv"], _read_movies(directory), empty_users()
    else:
        found = _find(directory, "events")
        if found is None:
            raise DataError(directory, "holds neither ratings.csv nor events.csv or events.parquet")
        files, items, users = [found], _read_items(directory), _read_users(directory)
    files += also
    skipped: list[SkippedRow] = []
    frames = [_read_events(file, skipped, block_bytes) for file in files]
    events = frames[0] if len(frames) == 1 else _joined(files, frames, skipped)
    return assemble(events, items, users, skipped)


def _find(directory: Path, name: str) -> Path | None:
    candidates = (directory / f"{name}.csv", directory / f"{name}.parquet")
    return next((path for path in candidates if path.exists()), None)


def _read_events(path: Path, skipped: list[SkippedRow], block_bytes: int) -> pd.DataFrame:
    """The events of a file; the index holds the rows' places in it."""
    if "movieId" in read_header(path):
        frame = read_table(path, _RATINGS, block_bytes)
        frame.columns = pd.Index(["user_id", "item_id", "value", "timestamp"])
        frame["kind"] = np.full(len(frame), EventKind.RATING, dtype=np.int8)
    else:
        frame = read_table(path, _EVENTS, block_bytes)
        names = ["kind" if name == "event" else name for name in frame.columns]
        frame.columns = pd.Index(names)
        if "value" not in frame:
            frame["value"] = np.zeros(len(frame))
    if "region" not in frame:
        nowhere = np.zeros(len(frame), dtype=np.int8)
        frame["region"] = pd.Categorical.from_codes(nowhere, categories=pd.Index([""]))
    return _without_repeats(frame, path, skipped)


def _without_repeats(frame: pd.DataFrame, path: Path, skipped: list[SkippedRow]) -> pd.DataFrame:
    """Skips rows that repeat an earlier one in every column, and counts them.

    A rating is a state: the same one twice means a broken export, and is refused. Any other event
    may well have come twice within one second.
    """
    repeated = repeats(frame)
    ratings = np.flatnonzero(repeated & (frame["kind"] == EventKind.RATING).to_numpy())
    if len(ratings):
        line = line_numbers(path, ratings[:1])[0]
        raise DataError(path, "the rating repeats an earlier row", line=line, field="rating")
    if not repeated.any():
        return frame
    _skip(path, np.flatnonzero(repeated), "exact duplicate of a row", skipped)
    return frame[~repeated]


def _joined(
    files: Sequence[Path], frames: Sequence[pd.DataFrame], skipped: list[SkippedRow]
) -> pd.DataFrame:
    """The log and its further files as one, without what they repeat.

    Rows of one file that tie only because they replace the same rating keep the order of the times
    they were given.
    """
    events = concatenated(frames)
    ends = np.cumsum([len(frame) for frame in frames])
    repeated = repeats(events)
    for path, frame, end in zip(files, frames, ends, strict=True):
        rows = frame.index.to_numpy()[repeated[end - len(frame) : end]]
        if len(rows):
            _skip(path, rows, "exact duplicate of a row of another file", skipped)
    starts = [0, *(np.cumsum(~repeated)[ends[:-1] - 1].tolist())]
    events = events[~repeated].reset_index(drop=True)
    times = overriding_times(events, starts)
    replacing = times != events["timestamp"].to_numpy()
    if replacing.any():
        log.info("%d ratings of further files replace ones that are not older", replacing.sum())
        order = np.lexsort((events["timestamp"].to_numpy(), times))
        events["timestamp"] = times
        events = events.iloc[order]
    return events


def _skip(path: Path, rows: NDArray[np.int64], reason: str, skipped: list[SkippedRow]) -> None:
    lines = line_numbers(path, rows[:_MOST_NAMED])
    log.warning("%s:%d: %d repeated rows skipped, this is the first", path, lines[0], len(rows))
    skipped.extend(SkippedRow(str(path), line, reason) for line in lines)


def _read_movies(directory: Path) -> pd.DataFrame:
    path = directory / "movies.csv"
    frame = read_table(path, _MOVIES).rename(columns={"movieId": "item_id"})
    titles = frame["title"].astype(str)
    year = titles.str.extract(r"\((\d{4})\)\s*$", expand=False)
    frame["year"] = pd.to_numeric(year).fillna(0)
    frame["genres"] = frame["genres"].astype(str).replace(_NO_GENRES, "")
    return _item_table(frame, path)


def read_items(path: Path) -> pd.DataFrame:
    """Reads one file of items, in the layout of a general log; see `InteractionData.items`.

    Raises:
        DataError: it is missing or broken; one line names file, line, field and reason.
    """
    return _item_table(read_table(path, _ITEMS), path)


def _read_items(directory: Path) -> pd.DataFrame:
    path = _find(directory, "items")
    return empty_items() if path is None else read_items(path)


def _item_table(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    _refuse_repeated(frame["item_id"], path)
    blank = pd.Series("", index=frame.index)
    never = pd.Series(0.0, index=frame.index)
    start, end = frame.get("available_from", never), frame.get("available_until", never)
    end = end.replace(0.0, np.inf)
    _refuse_ended(start, end, path)
    return pd.DataFrame(
        {
            "item_id": frame["item_id"].astype(object),
            "title": frame.get("title", blank).astype(object),
            "genres": _split(frame.get("genres", blank)),
            "year": frame.get("year", pd.Series(0, index=frame.index)).astype(np.int16),
            "adult": frame.get("adult", pd.Series(False, index=frame.index)).astype(bool),
            "available": frame.get("available", pd.Series(True, index=frame.index)).astype(bool),
            "creators": _split(frame.get("creators", blank)),
            "available_from": start,
            "available_until": end,
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


def _refuse_ended(start: pd.Series, end: pd.Series, path: Path) -> None:
    ended = np.flatnonzero((end <= start).to_numpy())
    if len(ended):
        line = line_numbers(path, ended[:1])[0]
        raise DataError(
            path, "is not later than available_from", line=line, field="available_until"
        )


def _split(texts: pd.Series) -> pd.Series:
    """Each text's parts, each once."""
    parts = [tuple(dict.fromkeys(part for part in str(text).split("|") if part)) for text in texts]
    return pd.Series(parts, index=texts.index, dtype=object)
