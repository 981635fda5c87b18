"""The two values that flow through the pipeline: the query, and its candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.events import EventKind
from models.history import UserHistory, WeightedRows
from models.release import Release
from services.common.deadlines import Budget
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.rules import Block, Rules
from services.orchestrator.rules_yaml import NO_RULES, ActiveRules

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
        active: the rules that hold for the request.
        age: of who watches, in years; 0 when unknown.
        shown: how often the user was lately shown items, as weights; empty unless a rule asks.
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
    active: ActiveRules = NO_RULES
    age: int = 0
    shown: WeightedRows = field(default_factory=WeightedRows)

    @property
    def rules(self) -> Rules:
        return self.active.rules

    @property
    def place(self) -> str:
        """The request's region, else the user's; empty when neither is known."""
        return self.region or (self.user.region if self.user else "")

    @cached_property
    def blocks(self) -> Sequence[Block]:
        """All that is blocked for the request."""
        return self.rules.blocks(self.age, self.place, self.device)

    @property
    def release(self) -> Release:
        return self.catalogue.release


@dataclass(frozen=True)
class Candidates:
    """Columnar and immutable: one position an item.

    Attributes:
        rows: (n,) int32 item rows of the query's catalogue, distinct.
        scores: (n,) float32, larger is better.
        ranks: (n, s) int32 place that each of `source_names` gave the item, from 1; 0 where the
            source did not find it.
        columns: further arrays of length n, by name.
    """

    rows: Rows
    scores: Scores
    ranks: NDArray[np.int32]
    source_names: tuple[str, ...]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def none(cls) -> "Candidates":
        nothing = np.empty((0, 0), np.int32)
        return cls(np.empty(0, np.int32), np.empty(0, np.float32), nothing, ())

    @classmethod
    def of_source(cls, name: str, rows: Rows, scores: Scores) -> "Candidates":
        """What one source found, best first."""
        ranks = np.arange(1, len(rows) + 1, dtype=np.int32)
        return cls(rows, scores, ranks[:, None], (name,))

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: NDArray[Any]) -> "Candidates":
        """The candidates at these positions, or where this mask is true."""
        return Candidates(
            self.rows[positions],
            self.scores[positions],
            self.ranks[positions],
            self.source_names,
            {name: column[positions] for name, column in self.columns.items()},
        )

    def with_scores(self, scores: Scores) -> "Candidates":
        return Candidates(self.rows, scores, self.ranks, self.source_names, self.columns)

    def with_columns(self, columns: Mapping[str, NDArray[Any]]) -> "Candidates":
        return Candidates(
            self.rows, self.scores, self.ranks, self.source_names, {**self.columns, **columns}
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
            put(self.ranks, other.ranks),
            self.source_names,
            {name: put(column, other.columns[name]) for name, column in self.columns.items()},
        )

    def also_found_by(self, name: str, position: int) -> "Candidates":
        """The same candidates, with one more source that found the one at a position."""
        ranks = np.pad(self.ranks, ((0, 0), (0, 1)))
        ranks[position, -1] = 1
        names = (*self.source_names, name)
        return Candidates(self.rows, self.scores, ranks, names, self.columns)

    def found_by(self, name: str) -> NDArray[np.bool_]:
        """(n,) whether a source found each; no source of the name found none."""
        if name not in self.source_names:
            return np.zeros(len(self), np.bool_)
        found: NDArray[np.bool_] = self.ranks[:, self.source_names.index(name)] > 0
        return found

    def only_found_by(self, name: str) -> NDArray[np.bool_]:
        """(n,) whether a source found each, and no other did."""
        alone: NDArray[np.bool_] = np.count_nonzero(self.ranks, axis=1) == 1
        return self.found_by(name) & alone

    def sources_of(self, position: int) -> list[str]:
        """Names of the sources that found the candidate at a position."""
        return [self.source_names[at] for at in np.flatnonzero(self.ranks[position]).tolist()]

    def ranks_of(self, position: int) -> dict[str, int]:
        """The place that each source gave the candidate at a position, from 1, by name."""
        ranks = self.ranks[position].tolist()
        return {name: at for name, at in zip(self.source_names, ranks, strict=True) if at}


EXPLORATION = "exploration"
"""Name of the source of an item that exploration put where it is; it has others, too."""

PROPENSITY = "propensity"
"""Column of the chances with which items are where they are; absent where all are certain."""

PROMOTED = "promoted"
"""Column of a slate: whether an item has its place by a promotion."""

LABEL = "label"
"""Column of a slate: what is shown with an item, "Sponsored"."""

PREDICTION = "prediction"
"""Column of what the scores predict."""

BOOST = "boost"
"""Column of what rules added to the scores; absent where none did."""

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
    rows = np.concatenate([part.rows for part in parts])
    n = len(rows)
    first_of = np.empty(rows.max() + 1, np.int64)
    first_of[rows[::-1]] = np.arange(n)[::-1]  # of several writes the last stays: the first row
    first = first_of[rows]
    kept = np.flatnonzero(first == np.arange(n))
    place = np.searchsorted(kept, first)  # of each row's item among the kept
    ranks, start = np.zeros((len(kept), len(names)), np.int32), 0
    for part in parts:
        columns = [names.index(name) for name in part.source_names]
        at = np.ix_(place[start : start + len(part)], columns)
        ranks[at] = np.maximum(ranks[at], part.ranks)
        start += len(part)
    scores = np.concatenate([part.scores for part in parts])
    columns_of = {
        name: np.concatenate([part.columns[name] for part in parts])[kept]
        for name in parts[0].columns
    }
    return Candidates(rows[kept], scores[kept], ranks, names, columns_of)
