"""The general log: `events`, `items` and `users`, each as CSV or Parquet."""

import logging
from pathlib import Path

import pandas as pd

from models.events import EventKind
from training.movielens import split
from training.tables import Table

log = logging.getLogger(__name__)

_MAX_YEAR = 9999


def read_events(path: Path | None) -> pd.DataFrame:
    """Events, in file order.

    A rating that repeats an earlier row in every column is a broken export and refused; any other
    kind of event may well have come twice in one second, so the repetition is skipped and counted.
    """
    assert path is not None
    table = Table(path, ["user_id", "item_id", "event", "timestamp"], ["value", "region"])
    events = pd.DataFrame(
        {
            "user_id": table.ids("user_id"),
            "item_id": table.ids("item_id"),
            "kind": _kinds(table),
            "value": table.numbers("value", empty=0.0),
            "timestamp": table.times("timestamp"),
            "region": table.text("region"),
        }
    )
    repeated = table.duplicates()
    rating = events["kind"] == EventKind.RATING
    table.refuse("event", rating & repeated, lambda _: "the rating repeats an earlier row")
    if repeated.any():
        first = table.line(int(repeated.to_numpy().argmax()))
        log.warning(
            "%s:%d: %d repeated rows skipped, this is the first", path, first, repeated.sum()
        )
    return events[~repeated].reset_index(drop=True)


def read_items(path: Path | None) -> pd.DataFrame:
    """Items; without a file, none is described."""
    if path is None:
        return pd.DataFrame(
            {name: [] for name in ("item_id", "title", "genres", "year", "adult", "available")}
        ).astype({"item_id": object, "title": object, "genres": object, "year": "int16"})
    table = Table(path, ["item_id"], ["title", "genres", "year", "adult", "available"])
    ids, years = table.ids("item_id"), table.numbers("year", empty=0.0)
    table.refuse("item_id", ids.duplicated(), lambda text: f"{text!r} occurs twice")
    table.refuse("year", years > _MAX_YEAR, lambda text: f"{text} is not a year")
    return pd.DataFrame(
        {
            "item_id": ids,
            "title": table.text("title"),
            "genres": table.text("genres").map(split),
            "year": years.astype("int16"),
            "adult": table.flags("adult", empty=False),
            "available": table.flags("available", empty=True),
        }
    )


def read_users(path: Path | None) -> pd.DataFrame:
    """Users; without a file, none is described."""
    if path is None:
        return pd.DataFrame({"user_id": [], "region": [], "friends": []}, dtype=object)
    table = Table(path, ["user_id"], ["region", "friends"])
    ids = table.ids("user_id")
    table.refuse("user_id", ids.duplicated(), lambda text: f"{text!r} occurs twice")
    friends = table.text("friends").map(split)
    return pd.DataFrame({"user_id": ids, "region": table.text("region"), "friends": friends})


def _kinds(table: Table) -> "pd.Series[int]":
    names = table.text("event").str.strip().str.upper()
    known = {kind.name: kind.value for kind in EventKind}
    kinds = names.map(known)
    table.refuse(
        "event",
        kinds.isna(),
        lambda text: f"{text!r} is not one of {', '.join(kind.name.lower() for kind in EventKind)}",
    )
    return kinds.astype("int8")
