"""The two values that flow through the pipeline: the query, and its candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.events import EventKind
from models.history import UserHistory
from models.release import Release
from services.common.deadlines import Budget
from services.orchestrator.catalogue import Catalogue

Rows = NDArray[np.int32]
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class RecentEvent:
    """An event the caller sent along with a request."""

    item_id: str
    kind: EventKind
    value: float
    timestamp: float
    """Unix seconds."""


@dataclass(frozen=True)
class KnownSession:
    """What an answer says of the session it was made from.

    Attributes:
        version: version of the user's events; 0 without events, or without the features service.
        events: how many the session holds.
        newest: time of the newest, in Unix seconds; None without one.
    """

    version: int = 0
    events: int = 0
    newest: float | None = None


@dataclass(frozen=True)
class Query:
    """One request, pinned to one release, and to the live items of one moment. Hydrators return a
    fuller copy.

    Attributes:
        catalogue: all items there are for the request.
        time: the moment to recommend for, in Unix seconds.
        as_of: events later than this are not known, in Unix seconds; 0 when the moment is now, so
            that an event from a client whose clock is ahead counts at once.
        user: what the models read; empty history until hydrated.
        session: the stored session behind `user`, whether or not the release holds its items.
        seen_rows: item rows the user had any event on, sorted.
        explain: whether the caller wants to know how the answer came about.
        excluded_rows: item rows the caller does not want, sorted.
    """

    request_id: str
    user_id: str
    count: int
    time: float
    catalogue: Catalogue
    budget: Budget
    as_of: float = 0.0
    region: str = ""
    device: str = ""
    recent_events: tuple[RecentEvent, ...] = ()
    user: UserHistory | None = None
    session: KnownSession = KnownSession()
    seen_rows: Rows = field(default_factory=lambda: np.empty(0, np.int32))
    explain: bool = False
    excluded_rows: Rows = field(default_factory=lambda: np.empty(0, np.int32))

    @property
    def release(self) -> Release:
        return self.catalogue.release


@dataclass(frozen=True)
class Candidates:
    """Columnar and immutable: one position an item.

    Attributes:
        rows: (n,) int32 item rows of the query's catalogue, distinct.
        scores: (n,) float32, larger is better.
        found_by: (n,) int64 bit set over `source_names`: which sources found the item.
        columns: further arrays of length n, by name.
    """

    rows: Rows
    scores: Scores
    found_by: NDArray[np.int64]
    source_names: tuple[str, ...]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def none(cls) -> "Candidates":
        return cls(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.int64), ())

    @classmethod
    def of_source(cls, name: str, rows: Rows, scores: Scores) -> "Candidates":
        return cls(rows, scores, np.ones(len(rows), np.int64), (name,))

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: NDArray[Any]) -> "Candidates":
        """The candidates at these positions, or where this mask is true."""
        return Candidates(
            self.rows[positions],
            self.scores[positions],
            self.found_by[positions],
            self.source_names,
            {name: column[positions] for name, column in self.columns.items()},
        )

    def with_scores(self, scores: Scores) -> "Candidates":
        return Candidates(self.rows, scores, self.found_by, self.source_names, self.columns)

    def with_columns(self, columns: Mapping[str, NDArray[Any]]) -> "Candidates":
        return Candidates(
            self.rows, self.scores, self.found_by, self.source_names, {**self.columns, **columns}
        )

    def replaced(self, position: int, other: "Candidates", theirs: int) -> "Candidates":
        """The same candidates, one of them replaced by one of others of the same sources."""

        def put(own: NDArray[Any], their: NDArray[Any]) -> NDArray[Any]:
            changed = own.copy()
            changed[position] = their[theirs]
            return changed

        return Candidates(
            put(self.rows, other.rows),
            put(self.scores, other.scores),
            put(self.found_by, other.found_by),
            self.source_names,
            {name: put(column, other.columns[name]) for name, column in self.columns.items()},
        )

    def also_found_by(self, name: str, position: int) -> "Candidates":
        """The same candidates, with one more source that found the one at a position."""
        bit = np.zeros(len(self), np.int64)
        bit[position] = 1 << len(self.source_names)
        names = (*self.source_names, name)
        return Candidates(self.rows, self.scores, self.found_by | bit, names, self.columns)

    def sources_of(self, position: int) -> list[str]:
        """Names of the sources that found the candidate at a position."""
        bits = int(self.found_by[position])
        return [name for bit, name in enumerate(self.source_names) if bits >> bit & 1]


EXPLORATION = "exploration"
"""Name of the source of an item that exploration put where it is; it has others, too."""

PROPENSITY = "propensity"
"""Column of the chances with which items are where they are; absent where all are certain."""

PREDICTION = "prediction"
"""Column of what the scores predict."""

PART = "part:"
"""Beginning of the names of columns that hold parts of the scores."""


def merge(parts: Sequence[Candidates]) -> Candidates:
    """Concatenates candidates. Of an item found twice, the first score and all its sources stay.

    All parts that are not empty must have the same columns.
    """
    parts = [part for part in parts if len(part)]
    if not parts:
        return Candidates.none()
    if len(parts) == 1:
        return parts[0]
    names = tuple(dict.fromkeys(name for part in parts for name in part.source_names))
    bits = np.concatenate([_renumber(part, names) for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    unique, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    found_by = np.zeros(len(unique), np.int64)
    np.bitwise_or.at(found_by, inverse, bits)
    order = np.argsort(first)
    scores = np.concatenate([part.scores for part in parts])
    columns = {
        name: np.concatenate([part.columns[name] for part in parts])[first[order]]
        for name in parts[0].columns
    }
    return Candidates(unique[order], scores[first[order]], found_by[order], names, columns)


def _renumber(part: Candidates, names: tuple[str, ...]) -> NDArray[np.int64]:
    bits = np.zeros(len(part), np.int64)
    for old, name in enumerate(part.source_names):
        bits |= (part.found_by >> old & 1) << names.index(name)
    return bits
