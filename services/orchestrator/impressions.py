"""What a user was lately shown, for rules that ask."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from models.history import WeightedRows
from models.popularity import SECONDS_A_DAY
from services.common.errors import Unavailable
from services.common.slates import SlateLog
from services.orchestrator.candidates import Query
from services.orchestrator.pipeline import Level


class ImpressionHydrator:
    """Counts the items of the user's logged slates, and of those that wait to be logged here.

    Without the log, nothing counts as shown: an item comes once more.

    Args:
        slates: the log.
        waiting: item ids of a user's slates that are not in it yet, by request id.
    """

    level_when_lost = Level.FULL

    def __init__(self, slates: SlateLog, waiting: Callable[[str], Mapping[str, list[str]]]) -> None:
        self._slates = slates
        self._waiting = waiting

    async def hydrate(self, query: Query) -> Query:
        cap = query.rules.frequency
        if cap is None:
            return query
        since = time.time() - cap.days * SECONDS_A_DAY
        waiting = self._waiting(query.user_id)
        try:
            slates = await asyncio.to_thread(self._slates.shown_to, query.user_id, since)
        except SQLAlchemyError as error:
            raise Unavailable(f"the slate log: {str(error).partition(chr(10))[0]}") from None
        shown = Counter(item for items in {**waiting, **slates}.values() for item in items)
        row_of = query.catalogue.items.row_of
        known = sorted((row_of[item], times) for item, times in shown.items() if item in row_of)
        return replace(
            query,
            shown=WeightedRows(
                np.array([row for row, _ in known], np.int32),
                np.array([times for _, times in known], np.float32),
            ),
        )

    def without(self, query: Query) -> Query:
        return query
