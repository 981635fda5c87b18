"""Collaborative-filtering neighbours: items like an item, users like a user.

`docs/neighbours.md` derives every metric and every rule for missing values.
"""

from models.neighbours.metrics import METRICS
from models.neighbours.scoring import item_scores, user_scores
from models.neighbours.search import (
    MISSING,
    NeighbourError,
    Neighbours,
    item_neighbours,
    top_rows,
    user_neighbours,
)

__all__ = [
    "METRICS",
    "MISSING",
    "NeighbourError",
    "Neighbours",
    "item_neighbours",
    "item_scores",
    "top_rows",
    "user_neighbours",
    "user_scores",
]
