"""What is counted of an answer."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from prometheus_client import REGISTRY

from services.orchestrator.candidates import PREDICTION, Candidates, Query
from services.orchestrator.metrics import count_slate
from services.orchestrator.pipeline import Level, Scored
from tests.unit.orchestrator.test_pipeline import RowScorer, pipeline


@dataclass
class Predicting:
    """Predicts the same of all."""

    prediction: float
    level_when_lost: Level = Level.UNRANKED

    async def score(self, query: Query, candidates: Candidates) -> Scored:
        same = np.full(len(candidates), self.prediction, np.float32)
        return Scored(candidates.scores, {PREDICTION: same})


def counted(name: str, labels: Mapping[str, str]) -> float:
    return REGISTRY.get_sample_value(name, dict(labels)) or 0.0


FULL = {"method": "Recommend", "level": "FULL"}
UNRANKED = {"method": "Recommend", "level": "UNRANKED"}
UNAVAILABLE = {"by": "UnavailableFilter"}


async def test_levels_drops_and_top_scores_are_counted(query: Callable[..., Query]) -> None:
    samples: tuple[tuple[str, dict[str, str]], ...] = (
        ("tandem_answers_total", FULL),
        ("tandem_answers_total", UNRANKED),
        ("tandem_dropped_candidates_total", UNAVAILABLE),
        ("tandem_top_scores_count", {}),
        ("tandem_top_scores_sum", {}),
    )
    before = [counted(*each) for each in samples]
    count_slate(await pipeline(scorers=[Predicting(0.5)]).run(query()))
    count_slate(await pipeline(scorers=[RowScorer(fails=True)]).run(query()))
    added = [counted(*each) - was for each, was in zip(samples, before, strict=True)]
    assert added == [1, 1, 2, 1, 0.5]  # i5 is not available


async def test_a_score_that_is_no_number_leaves_the_others_as_they_are(
    query: Callable[..., Query],
) -> None:
    before = counted("tandem_top_scores_count", {})
    count_slate(await pipeline(scorers=[Predicting(math.nan)]).run(query()))
    assert counted("tandem_top_scores_count", {}) == before


def test_each_level_is_there_before_it_is_first_served() -> None:
    for level in Level:
        labels = {"method": "Recommend", "level": level.name}
        assert REGISTRY.get_sample_value("tandem_answers_total", labels) is not None
