"""Filters: what must not be shown. Each returns a mask; none can add or reorder."""

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.candidates import Candidates, Query
from services.orchestrator.seen import not_among


class AlreadySeenFilter:
    """Drops items the user had any event on, ever."""

    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        return not_among(candidates.rows, query.seen_rows)


class ExcludedIdsFilter:
    """Drops items the caller named in `exclude_item_ids`."""

    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        return not_among(candidates.rows, query.excluded_rows)


class UnavailableFilter:
    """Drops items that the release, or what was upserted since, marks as not available."""

    def keep(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        available: NDArray[np.bool_] = candidates.columns["available"]
        return available
