"""Promotions and ads: items with a place of their own, as far as filters and budgets allow."""

from collections.abc import Iterator, Sequence

import numpy as np

from services.orchestrator.budgets import Budgets
from services.orchestrator.candidates import Candidates, Query
from services.orchestrator.pipeline import Found, Level, Placed
from services.orchestrator.rules import Promotion

PROMOTION = "promotion"
"""Name of the source of promoted items."""


class PromotionSource:
    """Proposes what may be promoted, so that it passes all filters and is ranked."""

    level_when_lost = Level.FULL

    async def fetch(self, query: Query) -> Found:
        row_of = query.catalogue.items.row_of
        rows = dict.fromkeys(row_of[p.item_id] for p in applicable(query))
        found = np.array(list(rows), np.int32)
        return Found(Candidates.of_source(PROMOTION, found, np.zeros(len(found), np.float32)))


class SlotPromoter:
    """Gives places to promotions, in the order of the rules.

    A promotion whose item was filtered, or whose place another one has, is left out. One with a
    budget is shown only where the budget can be spent.

    Args:
        budgets: asked once a promotion and request, when it has a place.
    """

    source = PROMOTION

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets

    def place(self, query: Query, ranked: Candidates) -> Sequence[Placed]:
        row_of = query.catalogue.items.row_of
        taken, placed = set[int](), dict[int, Placed]()
        for promotion in applicable(query):
            held = np.flatnonzero(ranked.rows == row_of[promotion.item_id])
            if not len(held) or (position := int(held[0])) in placed:
                continue
            place = _free_place(promotion, position, min(query.count, len(ranked)), taken)
            if place is not None and self._budgets.take(promotion):
                taken.add(place)
                placed[position] = Placed(place, position, promotion.label)
        return list(placed.values())


def applicable(query: Query) -> Iterator[Promotion]:
    """Promotions that hold for a request, of items that there are."""
    row_of = query.catalogue.items.row_of
    for promotion in query.rules.promote:
        audience = promotion.audience
        if not promotion.holds_at(query.time) or promotion.item_id not in row_of:
            continue
        if audience is None or audience.surely_has(query.age, query.place, query.device):
            yield promotion


def _free_place(promotion: Promotion, position: int, length: int, taken: set[int]) -> int | None:
    """The free place nearest to that of its score, from 0; None when there is none."""
    first, last = promotion.places
    free = [place for place in range(first - 1, min(last, length)) if place not in taken]
    return min(free, key=lambda place: (abs(place - position), place), default=None)
