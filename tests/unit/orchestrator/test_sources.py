"""Candidates from elsewhere are held to what the request knows."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from models.history import UserHistory
from models.release import Release
from services.common.live_items import LiveItem
from services.orchestrator.candidates import Candidates, Query, Rows
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.clients import Retrieved, UserFeatures
from services.orchestrator.hydrators import with_user
from services.orchestrator.pipeline import Level
from services.orchestrator.seen import SeenItems
from services.orchestrator.sources import RetrievalSource
from tests.unit.orchestrator.conftest import N_ITEMS
from tests.unit.orchestrator.test_pipeline import ids, pipeline

MakeQuery = Callable[..., Query]


class FasterRetrieval:
    """Knows of two live items more than the request."""

    async def retrieve(
        self, release_id: str, user: UserHistory, count: int, exclude: Rows, timeout: float
    ) -> Retrieved:
        rows = np.array([N_ITEMS + 2, 3, N_ITEMS, N_ITEMS + 1], np.int32)
        ranks = np.array([[0, 1], [1, 0], [2, 2], [0, 3]], np.int32)
        scores = np.array([4, 3, 2, 1], np.float32)
        return Retrieved(Candidates(rows, scores, ranks, ("ease", "new_items")), {})


async def test_items_that_came_after_the_request_began_are_left_out(
    query: MakeQuery, release: Release
) -> None:
    asked = query(count=2, catalogue=Catalogue.of(release).with_live((LiveItem("new", seq=0),)))
    source = RetrievalSource(cast(Any, FasterRetrieval()), 100)
    found = (await source.fetch(with_user(asked, UserFeatures(), SeenItems()))).candidates
    assert found.rows.tolist() == [3, N_ITEMS]
    assert found.scores.tolist() == [3, 2]
    assert [found.sources_of(at) for at in range(2)] == [["ease"], ["ease", "new_items"]]


class Strangers:
    """Nothing is known of anybody."""

    level_when_lost = Level.NO_SESSION

    async def hydrate(self, query: Query) -> Query:
        return with_user(query, UserFeatures(), SeenItems())

    def without(self, query: Query) -> Query:
        return query


async def test_an_answer_does_not_fail_for_items_it_does_not_know(
    query: MakeQuery, release: Release
) -> None:
    source = RetrievalSource(cast(Any, FasterRetrieval()), 100)
    made = pipeline(query_hydrators=[Strangers()], sources=[source])
    slate = await made.run(query(count=1))
    assert slate.record.level is Level.FULL
    assert ids(slate) == [3]
