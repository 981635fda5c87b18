import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.training.logs import sequences
from training.ranks import MISSED, Ranked, rank_targets
from training.splits import Queries


def ranked(scores: list[float], events: list[int], known: int, frozen: bool = False) -> Ranked:
    """Ranks what one user did after the first `known` events."""
    log = sequences(events)
    positions = np.arange(known, len(events))
    ends = np.full_like(positions, known) if frozen else positions
    row = np.array(scores, np.float32)
    return rank_targets(
        lambda q: np.tile(row, (len(q), 1)), Queries(log, positions, ends), len(row)
    )


def test_the_rank_counts_better_unseen_items() -> None:
    found = ranked([5, 4, 3, 2, 1], events=[0, 2], known=1)
    assert found.ranks.tolist() == [1]
    assert found.shown.tolist() == [[1, 2, 3, 4, -1]]


def test_a_constant_scorer_gets_the_middle_rank() -> None:
    assert ranked([0.0] * 101, events=[7], known=0).ranks.tolist() == [50]


def test_a_target_seen_before_is_missed() -> None:
    found = ranked([1, 9, 3], events=[1, 1], known=1)
    assert found.ranks.tolist() == [MISSED]
    assert found.metrics().recall_500 == 0


def test_items_that_a_model_leaves_out_share_the_last_ranks() -> None:
    out = -np.inf
    found = ranked([3, out, 2, out, out, out], events=[1, 4], known=1)
    assert found.ranks.tolist() == [3]  # behind 0 and 2, in the middle of 3, 4 and 5
    assert found.shown.tolist() == [[0, 2, 3, 4, 5, -1]]


def test_many_targets_of_one_question_are_scored_once() -> None:
    asked = []

    def score(queries: Queries) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        asked.append(len(queries))
        return np.tile(np.array([5, 1, 4, 2, 3], np.float32), (len(queries), 1))

    log = sequences([0, 1, 2, 3])
    found = rank_targets(score, Queries(log, np.arange(1, 4), np.full(3, 1)), 5)
    assert asked == [1]
    assert found.ranks.tolist() == [3, 0, 2]
    assert found.shown.tolist() == [[2, 4, 3, 1, -1]]


def test_equal_targets_of_one_question_stand_one_behind_another() -> None:
    # Two targets, 1 and 2, and two other items, 3 and 4, have the same score: one of those is
    # counted as better.
    found = ranked([9, 1, 1, 1, 1], events=[0, 1, 2], known=1, frozen=True)
    assert found.ranks.tolist() == [1, 2]


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        ranked([np.nan, 1.0], events=[0], known=0)


@given(
    st.lists(st.integers(0, 3), min_size=14, max_size=14),
    st.lists(st.integers(0, 13), min_size=1, max_size=8),
)
def test_lists_and_ranks_agree_with_sorting(scores: list[int], events: list[int]) -> None:
    found = ranked([float(score) for score in scores], events, known=0)
    for asked, target in enumerate(events):
        seen = set(events[:asked])
        unseen = [item for item in range(14) if item not in seen]
        unseen.sort(key=lambda item: (-scores[item], item))
        width = [*unseen, *[-1] * 10][:10]
        assert found.shown[asked].tolist() == width
        better = sum(scores[item] > scores[target] for item in unseen)
        equal = sum(scores[item] == scores[target] for item in unseen) - 1
        assert found.ranks[asked] == (MISSED if target in seen else better + equal // 2)
