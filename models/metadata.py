"""What the item tower knows of an item besides its events."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_GENRES = 256
_DECADES = tuple(range(1900, 2040, 10))


def genre_names(genres: Sequence[tuple[str, ...]]) -> list[str]:
    """The genres of a catalogue, in the order of the columns of its `genre_vectors`."""
    return sorted({genre for each in genres for genre in each})


def genre_vectors(
    genres: Sequence[tuple[str, ...]], names: Sequence[str] | None = None
) -> NDArray[np.float32]:
    """(n, g) float32 genres of n items, each row of length one, or zero for an item without any.

    Args:
        genres: of the items.
        names: the g columns, others are ignored; those of these items when None.
    """
    names = genre_names(genres) if names is None else names
    column = {name: at for at, name in enumerate(names)}
    vectors = np.zeros((len(genres), len(names)), np.float32)
    for row, each in enumerate(genres):
        known = [column[genre] for genre in each if genre in column]
        vectors[row, known] = len(known) ** -0.5 if known else 0
    return vectors


@dataclass(frozen=True)
class MetadataEncoder:
    """Genres and year as numbers.

    Attributes:
        genres: known genres, most frequent first; others are ignored.
    """

    genres: tuple[str, ...]

    @classmethod
    def fit(cls, genres: Sequence[tuple[str, ...]]) -> "MetadataEncoder":
        """Knows the most frequent genres, at most 256."""
        counts = Counter(genre for item in genres for genre in item)
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return cls(tuple(genre for genre, _count in ranked[:_MAX_GENRES]))

    @property
    def width(self) -> int:
        return len(self.genres) + len(_DECADES) + 1

    def encode(
        self, genres: Sequence[tuple[str, ...]], years: NDArray[np.int16]
    ) -> NDArray[np.float32]:
        """Encodes n items.

        Args:
            genres: n tuples of genre names.
            years: (n,) years; 0 when unknown.

        Returns:
            (n, width) float32: genres as a multi-hot row of length one, year as interpolation
            between its two nearest decades, and a column of ones for a known year.
        """
        place = {genre: column for column, genre in enumerate(self.genres)}
        encoded = np.zeros((len(genres), self.width), dtype=np.float32)
        for row, names in enumerate(genres):
            known = [place[name] for name in names if name in place]
            if known:
                encoded[row, known] = len(known) ** -0.5
        rows = np.flatnonzero(years > 0)
        position = (np.clip(years[rows], _DECADES[0], _DECADES[-1]) - _DECADES[0]) / 10
        left = np.minimum(position.astype(np.int64), len(_DECADES) - 2)
        first = len(self.genres)
        encoded[rows, first + left] = 1 - (position - left)
        encoded[rows, first + left + 1] = position - left
        encoded[rows, -1] = 1.0
        return encoded

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> "MetadataEncoder":
        """The inverse of `dataclasses.asdict`."""
        return cls(tuple(raw["genres"]))
