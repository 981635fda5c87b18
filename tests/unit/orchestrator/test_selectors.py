from dataclasses import replace

import numpy as np
import pytest

from models.diversity import mmr, pool_size
from services.orchestrator.candidates import Candidates, Query
from services.orchestrator.selectors import SlateComposer
from tests.unit.orchestrator.test_pipeline import MakeQuery, mmr_rules

# The release's vectors are two tight clusters, even and odd rows; even ones score higher here.
RANKED = np.array([*range(0, 40, 2), *range(1, 40, 2)], np.int32)


def candidates(rows: np.ndarray[tuple[int], np.dtype[np.int32]]) -> Candidates:
    return Candidates.of_source("list", rows, np.linspace(1, 0, len(rows), dtype=np.float32))


def select(query: Query, weight: float) -> list[int]:
    asked = replace(query, active=mmr_rules(weight))
    chosen = SlateComposer().select(asked, candidates(RANKED), ()).positions
    return [int(row) for row in RANKED[chosen]]


@pytest.mark.parametrize("weight", [0.05, 0.3, 0.9])
def test_the_slate_is_chosen_by_tower_vectors_of_the_candidates(
    query: MakeQuery, weight: float
) -> None:
    asked = query(count=8)
    vectors = asked.release.item_vectors[RANKED[: pool_size(8)]]
    scores = candidates(RANKED).scores
    assert select(asked, weight) == RANKED[mmr(scores, vectors, weight, 8)].tolist()


def test_weight_brings_in_what_is_unlike_the_best(query: MakeQuery) -> None:
    assert select(query(count=6), 0.0) == RANKED[:6].tolist()
    slate = select(query(count=6), 0.5)
    assert slate[0] == RANKED[0]
    assert {row % 2 for row in slate} == {0, 1}


@pytest.mark.parametrize("count", [1, 40, 500])
def test_any_count_gets_distinct_candidates_and_all_when_there_are_fewer(
    query: MakeQuery, count: int
) -> None:
    slate = select(query(count=count), 0.3)
    assert len(slate) == len(set(slate)) == min(count, len(RANKED))


def test_no_candidates_make_an_empty_slate(query: MakeQuery) -> None:
    assert len(SlateComposer().select(query(count=5), Candidates.none(), ()).positions) == 0
