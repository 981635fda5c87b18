"""Sources: where candidates come from. The last two need no other service."""

import asyncio

import numpy as np

from services.common.stored import StoredRecommendations
from services.orchestrator.candidates import Candidates, Query
from services.orchestrator.clients import RetrievalClient
from services.orchestrator.pipeline import Found, Level
from services.orchestrator.seen import union

_MAIN_SOURCE = "tower_ann"


class RetrievalSource:
    """The retrieval service: several sources of its own, merged, each item attributed.

    Without its main source, the approximate nearest neighbours of the user in tower space, it
    still gives what the others found, but counts as lost.
    """

    level_when_lost = Level.STORED

    def __init__(self, retrieval: RetrievalClient, count: int) -> None:
        self._retrieval = retrieval
        self._count = count

    async def fetch(self, query: Query) -> Found:
        assert query.user is not None
        retrieved = await self._retrieval.retrieve(
            query.release.release_id,
            query.user,
            self._count,
            union(query.seen_rows, query.excluded_rows),
            query.budget.share(0.5, at_most=1.0),
        )
        # Retrieval may know of items that came after the moment this request is pinned to.
        found = retrieved.candidates
        found = found.take(found.rows < len(query.catalogue.items))
        return Found(found, retrieved.failed.get(_MAIN_SOURCE, ""))


class StoredSource:
    """The list computed for the user when the release was trained."""

    level_when_lost = Level.POPULAR

    def __init__(self, stored: StoredRecommendations) -> None:
        self._stored = stored

    async def fetch(self, query: Query) -> Found:
        found = await asyncio.to_thread(self._stored.read, query.release.release_id, query.user_id)
        if found is None:
            return Found(Candidates.none())
        item_ids, scores = found
        row_of = query.catalogue.items.row_of
        known = [
            (row_of[i], score) for i, score in zip(item_ids, scores, strict=True) if i in row_of
        ]
        return Found(
            Candidates.of_source(
                "stored",
                np.array([row for row, _ in known], dtype=np.int32),
                np.array([score for _, score in known], dtype=np.float32),
            )
        )


class PopularSource:
    """Every item there is: the release's, most popular first, then live ones. The floor under every
    slate."""

    level_when_lost = Level.POPULAR

    async def fetch(self, query: Query) -> Found:
        live = np.arange(query.catalogue.n_items, len(query.catalogue.items), dtype=np.int32)
        rows = np.concatenate([query.release.popular_rows, live])
        return Found(Candidates.of_source("popular", rows, -np.arange(len(rows), dtype=np.float32)))
