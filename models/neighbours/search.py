"""Nearest rows of a sparse matrix: one routine for items (columns of the utility) and users.

Similarities are computed for a block of rows against all rows, so memory holds a few blocks of
`_BLOCK_CELLS` numbers, and never a dense users x items or items x items matrix.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.errors import ReportedError
from models.neighbours.metrics import METRICS
from models.neighbours.rules import FilledIn, Ignored, Infinite, Ratings, Rule

_BLOCK_CELLS = 1 << 18  # similarities held at a time, in each of about ten arrays of float64

MISSING = ("zero", "ignore", "user_average", "item_average", "infinity")
"""What a value that nobody gave counts as."""

_RULES: Mapping[str, Callable[[Ratings, Ratings], Rule]] = {
    "zero": FilledIn.with_zeros,
    "ignore": Ignored,
    "row_average": FilledIn.with_row_means,
    "column_average": FilledIn.with_column_means,
    "infinity": Infinite,
}
_OF_ITEMS = {"item_average": "row_average", "user_average": "column_average"}
_OF_USERS = {"user_average": "row_average", "item_average": "column_average"}


class NeighbourError(ReportedError):
    """A metric or rule that does not exist; the text begins with the field at fault."""


@dataclass(frozen=True)
class Neighbours:
    """Nearest rows of each row asked about.

    Attributes:
        rows: (q, m) int32, nearest first; -1 pads.
        scores: (q, m) float32 similarities, all positive; 0 pads.
    """

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]

    def matrix(self, n: int) -> csr_array:
        """(q, n) float32 similarities, zero for what is no neighbour."""
        real = self.rows >= 0
        offsets = np.concatenate([[0], np.cumsum(real.sum(axis=1))])
        shape = (len(self.rows), n)
        return csr_array((self.scores[real], self.rows[real], offsets), shape=shape)


def item_neighbours(
    utility: csr_array,
    *,
    metric: str = "cosine",
    shrink: float = 20.0,
    m: int = 100,
    missing: str = "zero",
    min_support: int = 1,
    of: NDArray[np.integer] | None = None,
) -> Neighbours:
    """The m nearest items of items, by what users got out of them.

    Args:
        utility: (users, n) what users got out of items; what is not stored is missing.
        metric: a name in `METRICS`.
        shrink: similarities are multiplied by N / (N + shrink), N users in common.
        m: neighbours kept; only positive similarities count.
        missing: a name in `MISSING`.
        min_support: fewest users in common.
        of: (q,) items asked about; None asks about all, in order.

    Raises:
        NeighbourError: no such metric or rule.
    """
    check_names(metric, missing)
    items = Ratings.of(csr_array(utility.T))
    own = np.arange(items.values.shape[0]) if of is None else of
    search = _Search(metric, _OF_ITEMS.get(missing, missing), shrink, min_support, m)
    return search.nearest(items if of is None else items.take(own), items, own)


def user_neighbours(
    utility: csr_array,
    *,
    metric: str = "cosine",
    shrink: float = 20.0,
    m: int = 100,
    missing: str = "zero",
    min_support: int = 1,
    of: NDArray[np.integer] | None = None,
    histories: csr_array | None = None,
) -> Neighbours:
    """The m nearest users of users, by what they got out of items.

    Args:
        utility, metric, shrink, m, missing, min_support: as in `item_neighbours`, N items in
            common.
        of: (q,) users asked about; None asks about all, in order.
        histories: (q, n) asks about these users instead, who need not be among the rows of
            `utility`; nobody is left out as being oneself.

    Raises:
        NeighbourError: no such metric or rule.
    """
    check_names(metric, missing)
    users = Ratings.of(utility)
    search = _Search(metric, _OF_USERS.get(missing, missing), shrink, min_support, m)
    if histories is not None:
        return search.nearest(Ratings.of(histories), users, None)
    own = np.arange(users.values.shape[0]) if of is None else of
    return search.nearest(users if of is None else users.take(own), users, own)


def check_names(metric: str, missing: str) -> None:
    """Raises `NeighbourError` unless both names exist."""
    if metric not in METRICS:
        raise NeighbourError(f"metric: {metric!r} is not one of {', '.join(METRICS)}")
    if missing not in MISSING:
        raise NeighbourError(f"missing: {missing!r} is not one of {', '.join(MISSING)}")


@dataclass(frozen=True)
class _Search:
    """One combination, on rows; see `item_neighbours` for the fields."""

    metric: str
    missing: str
    shrink: float
    min_support: int
    m: int

    def nearest(self, left: Ratings, right: Ratings, own: NDArray[np.integer] | None) -> Neighbours:
        """The nearest right rows of each left row; `own` says which right row it is itself."""
        (q, _), (n, _) = left.values.shape, right.values.shape
        width = min(self.m, max(n - 1, 1)) if own is not None else min(self.m, n)
        rows = np.full((q, width), -1, dtype=np.int32)
        scores = np.zeros((q, width), dtype=np.float32)
        rule, ones = self._rule(left, right), csr_array(right.ones.T)
        size = max(1, _BLOCK_CELLS // max(n, 1))
        for start in range(0, q, size):
            part = slice(start, min(start + size, q))
            similarity = self._similarity(rule, part, csr_array(left.ones[part] @ ones))
            if own is not None:
                similarity[np.arange(len(similarity)), own[part]] = 0
            rows[part], scores[part] = top_rows(similarity, width)
        return Neighbours(rows, scores)

    def _rule(self, left: Ratings, right: Ratings) -> Rule:
        missing = self.missing
        if self.metric == "jaccard":  # asks who rated, and nothing else
            left, right = Ratings(left.ones), Ratings(right.ones)
            missing = missing if missing == "infinity" else "zero"
        elif self.metric == "dot" and missing == "ignore":  # what one side lacks adds zero
            missing = "zero"
        return _RULES[missing](left, right)

    def _similarity(self, rule: Rule, part: slice, common: csr_array) -> NDArray[np.float32]:
        similarity = rule.similarities(METRICS[self.metric], part, common)
        counts = common.toarray()
        if self.shrink > 0:
            similarity *= counts / (counts + self.shrink)
        if self.min_support > 0:
            similarity[counts < self.min_support] = 0
        return similarity.astype(np.float32)


def top_rows(scores: NDArray[np.float32], m: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The m largest positive entries of each row: columns and values, largest first.

    Equal values keep column order. Columns are -1, and values 0, where fewer are positive.
    """
    width = min(m, scores.shape[1])
    columns = np.full((len(scores), m), -1, dtype=np.int32)
    values = np.zeros((len(scores), m), dtype=np.float32)
    floor = np.partition(scores, scores.shape[1] - width, axis=1)[:, scores.shape[1] - width]
    rows, found = np.nonzero((scores >= floor[:, np.newaxis]) & (scores > 0))
    order = np.lexsort((-scores[rows, found], rows))  # stable: equal values keep column order
    rows, found = rows[order], found[order]
    starts = np.searchsorted(rows, np.arange(len(scores)))
    places = np.arange(len(rows)) - starts[rows]
    kept = places < width
    rows, found, places = rows[kept], found[kept], places[kept]
    columns[rows, places] = found
    values[rows, places] = scores[rows, found]
    return columns, values
