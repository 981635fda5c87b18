"""The layout of MovieLens, from ml-latest-small to ml-32m."""

from pathlib import Path

import pandas as pd

from models.events import EventKind
from training.tables import Table

_YEAR = r"\((\d{4})\)\s*$"
_NO_GENRES = "(no genres listed)"


def is_movielens(folder: Path) -> bool:
    return (folder / "ratings.csv").is_file() or (folder / "movies.csv").is_file()


def read_ratings(path: Path) -> pd.DataFrame:
    """Events of kind rating, in file order. A user's rating given twice is a broken export."""
    table = Table(path, ["userId", "movieId", "rating", "timestamp"])
    events = pd.DataFrame(
        {
            "user_id": table.ids("userId"),
            "item_id": table.ids("movieId"),
            "kind": EventKind.RATING.value,
            "value": table.numbers("rating"),
            "timestamp": table.times("timestamp"),
            "region": "",
        }
    ).astype({"kind": "int8"})
    table.refuse("rating", events["value"] == 0, lambda _: "must be above 0")
    table.refuse("rating", events["value"] > 10, lambda text: f"{text} is above 10 stars")
    table.refuse("userId", table.duplicates(), lambda _: "the row repeats an earlier one")
    return events


def read_movies(path: Path) -> pd.DataFrame:
    """Items; the year comes from the title, as in `Toy Story (1995)`."""
    table = Table(path, ["movieId", "title", "genres"])
    ids, titles = table.ids("movieId"), table.text("title").str.strip()
    table.refuse("movieId", ids.duplicated(), lambda text: f"{text!r} occurs twice")
    genres = table.text("genres").where(table.text("genres") != _NO_GENRES, "")
    years = titles.str.extract(_YEAR, expand=False).fillna("0").astype("int16")
    return pd.DataFrame(
        {
            "item_id": ids,
            "title": titles,
            "genres": genres.map(split),
            "year": years,
            "adult": False,
            "available": True,
        }
    )


def split(text: str) -> tuple[str, ...]:
    """The parts of a list joined by `|`, empty ones left out."""
    return tuple(part for part in text.split("|") if part)
