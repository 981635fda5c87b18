"""Items like an item, from the neighbours that training found."""

import numpy as np

from models.release import Release
from services.retrieval.vectors import Found


def similar_items(release: Release, row: int, count: int) -> Found:
    """The nearest `count` items of one item; fewer when training kept fewer."""
    rows = np.asarray(release.neighbour_rows[row])
    real = np.flatnonzero(rows >= 0)[:count]
    return Found(rows[real], np.asarray(release.neighbour_scores[row])[real])
