"""What may be shown at all: for lists that are made without a pipeline."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.common.deadlines import Budget
from services.orchestrator.candidates import Candidates, Query, Rows
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.pipeline import Filter
from services.orchestrator.rules_yaml import ActiveRules


class Policy:
    """Applies filters that look at items, not at users.

    Args:
        filters: all must let an item through.
    """

    def __init__(self, filters: Sequence[Filter]) -> None:
        self._filters = filters

    def permits(self, catalogue: Catalogue, active: ActiveRules, rows: Rows) -> NDArray[np.bool_]:
        """(r,) whether items may be shown now to somebody of whom nothing is known."""
        query = Query("", "", len(rows), time.time(), catalogue, Budget.of(1.0), active=active)
        candidates = Candidates.of_source("", rows, np.zeros(len(rows), np.float32))
        permitted = np.ones(len(rows), np.bool_)
        for each in self._filters:
            permitted &= each.keep(query, candidates)
        return permitted
