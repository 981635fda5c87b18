"""The slate that training computed: read from the database, or popular items for other users."""

from dataclasses import dataclass

from services.common.stored import StoredRecommendations
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.pipeline import Level


@dataclass(frozen=True)
class StoredItem:
    item_id: str
    score: float
    title: str


def stored_slate(
    stored: StoredRecommendations, catalogue: Catalogue, user_id: str, count: int
) -> tuple[Level, list[StoredItem]]:
    """Up to `count` available items, best first, and the level they stand for. Blocks."""
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
    return level, [
        StoredItem(items.ids[row], score, items.titles[row])
        for row, score in scored
        if items.available[row]
    ][:count]
