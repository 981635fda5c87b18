"""What speaks for an item besides the towers: parts of the final score, one class each.

A part scores candidates from what is known of the user, on a scale of its own that does not depend
on which other candidates there are. So the same sum ranks a catalogue offline and five hundred
candidates live.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.history import Surroundings, UserHistory, WeightedRows, taste_mask
from models.matrix_factorization import FoldIn
from models.neighbours import Neighbours
from models.tastes import Tastes

Rows = NDArray[np.int32]
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """What parts score from.

    Attributes:
        taste: (h,) int32 rows of the user's events of taste, newest first.
        around: what goes on around the user.
    """

    taste: Rows
    around: Surroundings = field(default_factory=Surroundings)

    @classmethod
    def of(cls, user: UserHistory, length: int) -> "Known":
        """What is known of a user, with the last `length` events of taste."""
        return cls(taste_of(user)[:length], user.around)


class ItemRows(Protocol):
    """Something a row an item: an array, or one that new items were added to."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: Rows, /) -> Scores: ...


class Evidence(Protocol):
    """One part of the final score."""

    @property
    def name(self) -> str:
        """Its name in weights, reports and explanations."""

    def score(self, known: Known, rows: Rows) -> Scores:
        """(r,) float32 for (r,) item rows; zero says nothing."""

    def scores(self, tastes: Tastes, around: Surroundings, rows: Rows) -> Scores:
        """(b, r) float32 as `score`, for b histories of one user at one moment."""


def taste_of(user: UserHistory) -> Rows:
    """(h,) int32 rows of the events that count as taste, newest first."""
    return user.rows[taste_mask(user.rows, user.kinds)][::-1]


@dataclass(frozen=True)
class ItemToItem:
    """What the last items lead to: log(1 + p / scale), with p the mean over them of a table's
    scores, the item before counting `decay` times as much as the one after it.

    The logarithm makes scores of pairs, which span orders of magnitude, comparable with logits.

    Attributes:
        name: of the part.
        near_rows: (n, m) int32 items that each item leads to; -1 pads.
        near_scores: (n, m) float32 > 0, parallel to `near_rows`.
        decay: weight of an item relative to the one after it.
        scale: below this a score says next to nothing.
        depth: last items that count.
    """

    name: str
    near_rows: Rows
    near_scores: Scores
    decay: float
    scale: float
    depth: int = 20

    def score(self, known: Known, rows: Rows) -> Scores:
        recent = known.taste[: self.depth]
        if not len(recent) or not len(rows):
            return np.zeros(len(rows), np.float32)
        weights = self.decay ** np.arange(len(recent), dtype=np.float32)
        weights /= weights.sum() * self.scale
        found = self.near_rows[recent].ravel()
        values = (self.near_scores[recent] * weights[:, None]).ravel()
        wanted, back = np.unique(rows, return_inverse=True)
        place = np.searchsorted(wanted, found)
        place[place == len(wanted)] = 0
        hit = wanted[place] == found
        sums = np.bincount(place[hit], values[hit], minlength=len(wanted))
        scores: Scores = np.log1p(sums[back]).astype(np.float32)
        return scores

    def scores(self, tastes: Tastes, around: Surroundings, rows: Rows) -> Scores:
        weights = self.decay ** np.arange(self.depth, dtype=np.float32)
        items, by_item = tastes.weighed(weights)
        by_item /= np.maximum(by_item.sum(axis=1, keepdims=True), 1e-12) * self.scale
        scores: Scores = np.log1p(by_item @ self._pairs(items, rows)).astype(np.float32)
        return scores

    def _pairs(self, items: Rows, rows: Rows) -> NDArray[np.float64]:
        """(s, r) the table's scores of rows for each item."""
        wanted, back = np.unique(rows, return_inverse=True)
        if not len(wanted):
            return np.zeros((len(items), 0))
        found = self.near_rows[items]
        place = np.searchsorted(wanted, found)
        place[place == len(wanted)] = 0
        hit = wanted[place] == found
        cells = (np.arange(len(items))[:, None] * len(wanted) + place)[hit]
        size = len(items) * len(wanted)
        sums = np.bincount(cells, self.near_scores[items][hit], minlength=size)
        return sums.reshape(len(items), len(wanted))[:, back].astype(np.float64)


@dataclass(frozen=True)
class FactorEvidence:
    """Inner product of the item's factors with the user's, folded in from the recent history.

    Attributes:
        items: (n, k) float32 item factors.
        fold_in: places a history among them.
        half_life: events after which an event counts half.
        depth: last events that count.
    """

    items: Scores
    fold_in: FoldIn
    half_life: float
    name: str = "factors"
    depth: int = 100

    def score(self, known: Known, rows: Rows) -> Scores:
        recent = known.taste[: self.depth]
        if not len(recent):
            return np.zeros(len(rows), np.float32)
        weights = np.exp2(-np.arange(len(recent), dtype=np.float32) / self.half_life)
        scores: Scores = self.items[rows] @ self.fold_in.user_vector(recent, weights)
        return scores

    def scores(self, tastes: Tastes, around: Surroundings, rows: Rows) -> Scores:
        weights = np.exp2(-np.arange(self.depth, dtype=np.float32) / self.half_life)
        users = self.fold_in.user_vectors(*tastes.weighed(weights))
        scores: Scores = users @ self.items[rows].T
        return scores


@dataclass(frozen=True)
class ItemPrior:
    """The same for everyone: a column over items, such as the log of recent popularity.

    Attributes:
        name: of the part.
        values: (n,) float32.
    """

    name: str
    values: ItemRows

    def score(self, known: Known, rows: Rows) -> Scores:
        return self.values[rows]

    def scores(self, tastes: Tastes, around: Surroundings, rows: Rows) -> Scores:
        return np.broadcast_to(self.values[rows], (len(tastes.rows), len(rows)))


@dataclass(frozen=True)
class GenreEvidence:
    """What a short history says about genres.

    A few events tell the towers which items, but little of what about them. So for a user with h
    events of taste, an item gains the cosine of its genres with the genres that the history holds
    more of than the catalogue does, divided by 1 + (h / 5)^2: half of it at five events, one
    hundredth at fifty.

    Attributes:
        vectors: (n, g) float32 genres of items, rows of length one or zero.
        usual: (g,) float32 mean of `vectors`.
    """

    vectors: ItemRows
    usual: NDArray[np.float32]
    name: str = "genres"
    few: float = 5.0

    def score(self, known: Known, rows: Rows) -> Scores:
        taste = known.taste
        if not len(taste) or not self.vectors.shape[1]:
            return np.zeros(len(rows), np.float32)
        more = self.vectors[taste].mean(axis=0) - self.usual
        fade = 1 + (len(taste) / self.few) ** 2
        scale = max(float(np.linalg.norm(more)), 1e-12) * fade
        scores: Scores = (self.vectors[rows] @ (more / scale)).astype(np.float32)
        return scores

    def scores(self, tastes: Tastes, around: Surroundings, rows: Rows) -> Scores:
        lengths = tastes.lengths[:, None]
        items, counts = tastes.weighed(np.ones(tastes.rows.shape[1], np.float32))
        more = counts @ self.vectors[items] / np.maximum(lengths, 1) - self.usual
        fade = 1 + (lengths / self.few) ** 2
        scale = np.maximum(np.linalg.norm(more, axis=1, keepdims=True), 1e-12) * fade
        known = np.where(lengths > 0, more / scale, 0)
        scores: Scores = (known @ self.vectors[rows].T).astype(np.float32)
        return scores


@dataclass(frozen=True)
class AroundEvidence:
    """What goes on around the user: log(1 + w / scale) of an item's weight among what `pick` takes
    from the surroundings.

    Attributes:
        name: of the part.
        pick: takes one of the lists.
        scale: below this a weight says next to nothing.
    """

    name: str
    pick: Callable[[Surroundings], WeightedRows]
    scale: float

    def score(self, known: Known, rows: Rows) -> Scores:
        return self._of(known.around, rows)

    def scores(self, tastes: Tastes, around: Surroundings, rows: Rows) -> Scores:
        return np.broadcast_to(self._of(around, rows), (len(tastes.rows), len(rows)))

    def _of(self, around: Surroundings, rows: Rows) -> Scores:
        scores: Scores = np.log1p(self.pick(around).of(rows) / np.float32(self.scale))
        return scores


@dataclass(frozen=True)
class NewcomerEvidence:
    """What is on the rise, for users of whom next to nothing is known.

    log(1 + s / scale) with s the larger of an item's shares of recent events in the region and
    everywhere, divided by 1 + h^2 for a user with h events of taste: half of it after the first
    event, a tenth after the third.

    Attributes:
        scale: below this a share says next to nothing.
    """

    scale: float
    name: str = "newcomers"

    def score(self, known: Known, rows: Rows) -> Scores:
        fade = 1 + len(known.taste) ** 2
        scores: Scores = (self._at_first(known.around, rows) / fade).astype(np.float32)
        return scores

    def scores(self, tastes: Tastes, around: Surroundings, rows: Rows) -> Scores:
        fades = 1 + tastes.lengths[:, None] ** 2
        scores: Scores = (self._at_first(around, rows) / fades).astype(np.float32)
        return scores

    def _at_first(self, around: Surroundings, rows: Rows) -> Scores:
        """(r,) of a user without events."""
        shares = np.maximum(around.trend.of(rows), around.trend_here.of(rows))
        scores: Scores = np.log1p(shares / np.float32(self.scale))
        return scores


@dataclass(frozen=True)
class EvidenceConfig:
    """Settings of the parts.

    Attributes:
        neighbours: items kept for each item in the tables of transitions and of EASE.
        transition_decay: weight of an item of the history relative to the one after it.
        ease_decay: likewise.
        ease_regularization: lambda of EASE, in users.
        factor_half_life: events after which an event counts half when factors are folded in.
    """

    neighbours: int = 256
    transition_decay: float = 0.8
    ease_decay: float = 0.85
    ease_regularization: float = 500.0
    factor_half_life: float = 5.0


@dataclass(frozen=True)
class EvidenceTables:
    """What training found, and a release keeps.

    Attributes:
        transitions: what follows each item; smoothed probabilities.
        ease: what each item speaks for; weights of EASE.
        factors: (n, k) float32 item factors.
        fold_in: places a history among them.
        genres: (n, g) float32 genres of items, rows of length one or zero.
        popularity: (n,) float32 log of recent events, -inf or small for none.
    """

    transitions: Neighbours
    ease: Neighbours
    factors: Scores
    fold_in: FoldIn
    genres: NDArray[np.float32]
    popularity: Scores


_TRANSITION_SCALE = 1e-3  # of probabilities
_EASE_SCALE = 3e-3
_TREND_SCALE = 1e-3  # of shares of recent events
_FRIENDS_SCALE = 0.3  # of recent events of friends


def evidence_parts(tables: EvidenceTables, config: EvidenceConfig) -> list[Evidence]:
    """Every part besides the towers, in the order of reports."""
    transitions, ease = tables.transitions, tables.ease
    return [
        ItemToItem(
            "transitions",
            transitions.rows,
            transitions.scores,
            config.transition_decay,
            _TRANSITION_SCALE,
        ),
        ItemToItem("ease", ease.rows, ease.scores, config.ease_decay, _EASE_SCALE),
        FactorEvidence(tables.factors, tables.fold_in, config.factor_half_life),
        ItemPrior("popularity", np.logaddexp(tables.popularity, 0).astype(np.float32)),
        GenreEvidence(tables.genres, tables.genres.mean(axis=0)),
        AroundEvidence("trend", lambda around: around.trend, _TREND_SCALE),
        AroundEvidence("trend_here", lambda around: around.trend_here, _TREND_SCALE),
        AroundEvidence("friends", lambda around: around.friends, _FRIENDS_SCALE),
        NewcomerEvidence(_TREND_SCALE),
    ]
