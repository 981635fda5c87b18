"""What a slate's columns become in the answer."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from models.release import Release
from services.common.database import open_database
from services.common.erased import ErasedUsers
from services.common.releases import ReleaseRegistry
from services.common.slates import SlateLog
from services.common.stored import StoredRecommendations
from services.orchestrator.candidates import PART, PREDICTION, Candidates, Query, Scores
from services.orchestrator.pipeline import Level, Scored
from services.orchestrator.policy import Policy
from services.orchestrator.reasoner import Reasoner
from services.orchestrator.release_switch import ReleaseSwitch
from services.orchestrator.rules_archive import RulesArchive
from services.orchestrator.rules_file import RulesFile
from services.orchestrator.service import RecommenderServicer
from services.orchestrator.slate_writer import SlateWriter
from tandem.recommender.v1 import recommender_pb2 as pb
from tests.unit.orchestrator.test_pipeline import RowScorer, pipeline


class PartScorer:
    """Two parts that sum to the row; predictions on another scale."""

    level_when_lost = Level.UNRANKED

    async def score(self, query: Query, candidates: Candidates) -> Scored:
        rows = candidates.rows.astype(np.float32)
        columns: dict[str, Scores] = {PREDICTION: (rows / 100).astype(np.float32)}
        if query.explain:
            columns |= {PART + "towers": rows * 0.75, PART + "genres": rows * 0.25}
        return Scored(rows, columns)


async def recommend(
    release: Release, tmp_path: Path, scorer: Any, *, explain: bool
) -> pb.RecommendResponse:
    engine = open_database(f"sqlite:///{tmp_path}/tandem.db")
    try:
        registry = ReleaseRegistry(engine)
        registry.add(release.release_id, {}, activate_at_start=True)
        switch = ReleaseSwitch(registry, release.path.parent, [], 1.0, 60.0)
        await switch.activate(release.release_id)
        servicer = RecommenderServicer(
            pipeline(scorers=[scorer]),
            switch,
            StoredRecommendations(engine),
            cast(Any, None),  # only recording and comparing need features and retrieval
            cast(Any, None),
            5.0,
            ErasedUsers(engine).among,
            RulesFile(tmp_path / "rules.yaml", RulesArchive(engine)),
            SlateWriter(SlateLog(engine), days=0),
            Reasoner(cast(Any, None)),  # these users have no taste to be a cause
            Policy([]),
        )
        request = pb.RecommendRequest(user_id="a", count=3, explain=explain)
        return await servicer.Recommend(request, cast(Any, None))
    finally:
        engine.dispose()


async def test_an_items_score_is_its_prediction_in_the_order_of_scores(
    release: Release, tmp_path: Path
) -> None:
    answer = await recommend(release, tmp_path, PartScorer(), explain=False)
    assert [item.item_id for item in answer.items] == ["i19", "i18", "i17"]
    assert [item.score for item in answer.items] == pytest.approx([0.19, 0.18, 0.17])
    assert not any(item.parts for item in answer.items)


async def test_an_explanation_names_the_parts_that_sum_to_the_score(
    release: Release, tmp_path: Path
) -> None:
    answer = await recommend(release, tmp_path, PartScorer(), explain=True)
    for item, row in zip(answer.items, (19, 18, 17), strict=True):
        assert dict(item.parts) == pytest.approx({"towers": row * 0.75, "genres": row * 0.25})
        assert item.score == pytest.approx(row / 100)


async def test_without_predictions_the_scores_themselves_are_given(
    release: Release, tmp_path: Path
) -> None:
    answer = await recommend(release, tmp_path, RowScorer(), explain=True)
    assert [item.score for item in answer.items] == [19, 18, 17]
    assert not any(item.parts for item in answer.items)


async def test_without_ranking_there_are_neither_predictions_nor_parts(
    release: Release, tmp_path: Path
) -> None:
    answer = await recommend(release, tmp_path, RowScorer(fails=True), explain=True)
    assert answer.level == pb.Level.LEVEL_UNRANKED
    assert [item.item_id for item in answer.items] == ["i0", "i1", "i2"]
    assert not any(item.parts for item in answer.items)
