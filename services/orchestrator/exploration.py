"""Exploration: a bounded chance for new items, which no event speaks for yet."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from models.popularity import SECONDS_A_DAY
from services.orchestrator.candidates import PROMOTED, Candidates, Query, Rows
from services.orchestrator.groups import CandidateGroups
from services.orchestrator.pipeline import Explored, Placed
from services.orchestrator.seen import not_among

FIRST_PLACES = 3
"""Places at the head of a slate that are never given away."""

_UNIFORM_SHARE = 0.1
"""Part of the draw that does not look at scores, so that every new item has a chance."""


class NewItemExplorer:
    """Now and then gives one place of a slate to a new item that is not in it.

    Eligible are live items within some days of their first upsert that passed all filters and
    exceed no cap, and that the release does not hold, or holds without events. With probability
    `rate`, one of the places in the last half of the slate (never one of the first three, and none
    that is promoted; none in a slate shorter than four) is drawn, all alike, and an eligible item:
    by the softmax of their scores, a tenth of the draw by lot. So an item i comes to a place with
    probability, given the request,

        rate / places * (0.9 softmax(scores)_i + 0.1 / eligible)

    and what is in one of these places otherwise is there with probability 1 - rate / places.
    The request's and the user's ids decide the draw: the same request again has the same slate.

    Args:
        rate: chance that a slate explores, 0 to 1.
        days: how long an item is new.
    """

    def __init__(self, rate: float, days: float) -> None:
        self._rate = rate
        self._seconds = days * SECONDS_A_DAY

    def explore(self, query: Query, ranked: Candidates, slate: Candidates) -> Explored | None:
        places = open_places(slate)
        if not self._rate or not len(places) or not query.catalogue.live:
            return None
        eligible = self._eligible(query, ranked, slate.rows)
        if not len(eligible):
            return None
        # Whatever is in an open place was there only because the place was not given away.
        propensities = np.ones(len(slate))
        propensities[places] = 1 - self._rate / len(places)
        explores, place, item = _draws(query)
        if explores >= self._rate:
            return Explored(propensities)
        chances = draw_chances(ranked.scores[eligible])
        drawn = min(int(np.searchsorted(np.cumsum(chances), item, "right")), len(eligible) - 1)
        at = int(places[int(place * len(places))])
        propensities[at] = self._rate / len(places) * chances[drawn]
        return Explored(propensities, Placed(at, int(eligible[drawn])))

    def _eligible(self, query: Query, ranked: Candidates, shown: Rows) -> NDArray[np.intp]:
        """(e,) positions among the ranked candidates, of what exceeds no cap beside the slate."""
        ages = query.time - query.catalogue.born(ranked.rows)
        young = np.flatnonzero(ages <= self._seconds)
        eligible = young[not_among(ranked.rows[young], np.sort(shown))]
        if not len(eligible) or not query.rules.caps:
            return eligible
        groups = CandidateGroups.of(query, np.concatenate([shown, ranked.rows[eligible]]))
        n = len(shown)
        return eligible[groups.fit(np.arange(n), n + np.arange(len(eligible)))]


def open_places(slate: Candidates) -> NDArray[np.intp]:
    """Places of a slate that exploration may give away: promotions keep theirs."""
    first = max(FIRST_PLACES, len(slate) - len(slate) // 2)
    return first + np.flatnonzero(~slate.columns[PROMOTED][first:])


def draw_chances(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """(e,) chances that sum to one; NaN counts as the lowest score."""
    known = np.where(np.isfinite(scores), scores, -np.inf).astype(np.float64)
    best = known.max()
    weights = np.exp(known - best) if np.isfinite(best) else np.ones(len(known))
    chances: NDArray[np.float64] = weights / weights.sum() * (1 - _UNIFORM_SHARE)
    return chances + _UNIFORM_SHARE / len(known)


def _draws(query: Query) -> tuple[float, float, float]:
    """Three numbers within 0 to 1, uniform over requests and fixed for each."""
    text = f"{len(query.request_id)} {query.request_id}{query.user_id}".encode()
    digest = blake2b(text, digest_size=24).digest()
    explores, place, item = (int.from_bytes(digest[at : at + 8]) / 2**64 for at in (0, 8, 16))
    return explores, place, item
