"""Filters: what must not be shown. Each returns a mask; none can add or reorder.

One that fails lets nothing through.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.candidates import Candidates, Query
from services.orchestrator.seen import not_among


class AlreadySeenFilter:
    """Drops items the user had an event on, ever, of the kinds that `seen` names."""

    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        return not_among(candidates.rows, query.seen_rows)


class ExcludedIdsFilter:
    """Drops items the caller named in `exclude_item_ids`."""

    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        return not_among(candidates.rows, query.excluded_rows)


class UnavailableFilter:
    """Drops items that are marked as not available, or not at the time of the request."""

    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        items, rows = query.catalogue.items, candidates.rows
        within = (items.available_from[rows] <= query.time) & (
            query.time < items.available_until[rows]
        )
        shown: NDArray[np.bool_] = items.available[rows] & within
        return shown


class WindowFilter:
    """Drops items of which not all `windows` hold at the time of the request."""

    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        closed = [w for w in query.rules.windows if not w.holds_at(query.time)]
        return _not_items(query, candidates, [item for each in closed for item in each.items])


class BlockedItemsFilter:
    """Drops items that `block` or a policy of the request's audience names."""

    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        return _not_items(query, candidates, [item for b in query.blocks for item in b.items])


class BlockedGenresFilter:
    """Drops items that have a blocked genre."""

    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        blocked = [genre for each in query.blocks for genre in each.genres]
        return ~query.catalogue.genres.any_of(blocked, candidates.rows)


class BlockedCreatorsFilter:
    """Drops items that are by a blocked creator, alone or with others."""

    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        blocked = [creator for each in query.blocks for creator in each.creators]
        return ~query.catalogue.creators.any_of(blocked, candidates.rows)


class AdultFilter:
    """Drops items for adults where they are blocked."""

    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        if not any(each.adult for each in query.blocks):
            return np.ones(len(candidates), np.bool_)
        adult: NDArray[np.bool_] = query.catalogue.items.adult[candidates.rows]
        return ~adult


class FrequencyFilter:
    """Drops items that were shown as often as `frequency` allows, and not taken."""

    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        cap = query.rules.frequency
        if cap is None:
            return np.ones(len(candidates), np.bool_)
        worn = query.shown.rows[query.shown.weights >= cap.times]
        keep = not_among(candidates.rows, worn)
        if query.user is not None:
            dropped = np.flatnonzero(~keep)
            keep[dropped] = ~not_among(candidates.rows[dropped], np.sort(query.user.rows))
        return keep


def _not_items(query: Query, candidates: Candidates, ids: Sequence[str]) -> NDArray[np.bool_]:
    """Mask of rows whose ids are not among some."""
    if not ids:
        return np.ones(len(candidates), np.bool_)
    return not_among(candidates.rows, np.unique(query.catalogue.items.rows(list(ids))))
