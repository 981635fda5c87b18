"""Which items of a user's history brought an item: how far its score falls without each of them.

Leave-one-out attribution, as occlusion does to the parts of an image (Zeiler and Fergus 2014,
1311.2901) and PRINCE to the actions of a user (Ghazimatin et al. 2020, 1911.08378), but computed,
not estimated: the final score is worked out again for each history with one item left out.

An item is left out with all its events, of any kind (view, click, like): they are one experience.
The score reads nothing else that a user's own events made: factors are folded in from the history,
and the vector that training stored (`UserHistory.factors`) serves retrieval alone. What goes on
around the user stays as it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evidence import taste_of
from models.features import pad_histories
from models.final_score import FinalScorer
from models.history import UserHistory

MOST_CAUSES = 3
"""Causes that are named, of each item."""

LEFT_OUT = 50
"""Items of a history that are left out in turn, the most recent ones. Those before them weigh next
to nothing in every part, and each costs a pass of the user tower."""

_ROUNDING = 1e-5
"""Scores are of the order of ten, in single precision: a smaller fall is none."""


@dataclass(frozen=True)
class Attribution:
    """Causes of r items.

    Attributes:
        causes: (r, MOST_CAUSES) int32 rows of items of the history, distinct, the one that matters
            most first; -1 pads at the end.
        drops: (r, MOST_CAUSES) float32 > 0, how far the item's score falls without each; 0 pads.
    """

    causes: NDArray[np.int32]
    drops: NDArray[np.float32]


def attribute(scorer: FinalScorer, user: UserHistory, rows: NDArray[np.int32]) -> Attribution:
    """Names what in the user's history speaks for items.

    Args:
        scorer: scores the items.
        user: the user at the moment of the request.
        rows: (r,) int32 item rows.
    """
    length = scorer.towers.model.schema.history_length
    candidates = _latest_items(taste_of(user)[:length])
    reduced = [user.without(row) for row in candidates.tolist()]
    scores = scorer.across(pad_histories([user, *reduced], length), rows)
    drops = (scores[0] - scores[1:]).T
    best = np.argsort(-drops, axis=1, kind="stable")[:, :MOST_CAUSES]
    found = np.take_along_axis(drops, best, axis=1)
    falls = found > _ROUNDING
    causes = np.full((len(rows), MOST_CAUSES), -1, np.int32)
    causes[:, : best.shape[1]] = np.where(falls, candidates[best], -1)
    named = np.zeros(causes.shape, np.float32)
    named[:, : best.shape[1]] = np.where(falls, found, 0)
    return Attribution(causes, named)


def _latest_items(taste: NDArray[np.int32]) -> NDArray[np.int32]:
    """(c,) distinct items of events of taste, newest first, `LEFT_OUT` at most."""
    _items, first = np.unique(taste, return_index=True)
    return taste[np.sort(first)][:LEFT_OUT]
