"""Asks why each item of a slate is there."""

import logging

from models.history import taste_mask
from services.common.deadlines import Budget
from services.common.errors import DomainError
from services.orchestrator.candidates import Rows
from services.orchestrator.clients import Attributed, RankingClient
from services.orchestrator.pipeline import Slate
from services.orchestrator.reasons import Facts, facts_of

_MOST_ITEMS = 50
_MOST_SECONDS = 1.0

log = logging.getLogger(__name__)


class Reasoner:
    """Facts of slates. What of the user's own brought an item, the ranking service works out.

    Args:
        ranking: asked once a slate, when causes are wanted.
    """

    def __init__(self, ranking: RankingClient) -> None:
        self._ranking = ranking

    async def facts(self, slate: Slate, budget: Budget, *, causes: bool) -> list[Facts]:
        """Facts of each item of a slate.

        Args:
            causes: whether to ask for causes, of the first 50 items. Without an answer there are
                none: a reason is not worth an error.
        """
        query, rows = slate.query, slate.chosen.rows
        attributed = Attributed.none(len(rows))
        if causes and len(rows) and query.user is not None and _has_taste(slate):
            attributed = await self._attributed(slate, rows, budget)
        return facts_of(query, slate.chosen, attributed)

    async def _attributed(self, slate: Slate, rows: Rows, budget: Budget) -> Attributed:
        assert slate.query.user is not None
        try:
            found = await self._ranking.attribute(
                slate.query.release.release_id,
                slate.query.user,
                rows[:_MOST_ITEMS],
                budget.share(0.9, at_most=_MOST_SECONDS),
            )
        except DomainError as error:
            log.warning("no causes", extra={"error": str(error)})
            return Attributed.none(len(rows))
        return found.padded(len(rows))


def _has_taste(slate: Slate) -> bool:
    user = slate.query.user
    return user is not None and bool(taste_mask(user.rows, user.kinds).any())
