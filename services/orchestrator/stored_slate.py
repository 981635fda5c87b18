"""The slate that training computed: read from the database, or popular items for other users."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.common.stored import StoredRecommendations
from services.orchestrator.candidates import Rows
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.pipeline import Level


@dataclass(frozen=True)
class StoredItem:
    item_id: str
    score: float
    title: str


def stored_slate(
    stored: StoredRecommendations,
    catalogue: Catalogue,
    user_id: str,
    count: int,
    permits: Callable[[Rows], NDArray[np.bool_]],
) -> tuple[Level, list[StoredItem]]:
    """Up to `count` items that may be shown, best first, and the level they stand for. Blocks.

    Args:
        permits: (r,) whether items of some rows may be shown.
    """
    items, release = catalogue.items, catalogue.release
    found = stored.read(release.release_id, user_id)
    if found is None:
        level = Level.POPULAR
        scored = [(int(row), -float(place)) for place, row in enumerate(release.popular_rows)]
    else:
        level = Level.STORED
        scored = [
            (items.row_of[i], score) for i, score in zip(*found, strict=True) if i in items.row_of
        ]
    permitted = permits(np.array([row for row, _ in scored], np.int32)).tolist()
    return level, [
        StoredItem(items.ids[row], score, items.titles[row])
        for (row, score), shown in zip(scored, permitted, strict=True)
        if shown
    ][:count]
