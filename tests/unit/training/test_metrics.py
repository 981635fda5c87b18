import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import (
    Accuracy,
    RankingMetrics,
    gini,
    intra_list_distance,
    jaccard_distance,
    novelty,
    recall_at,
    self_information,
)

NOBODY = np.empty((0, 10), np.int32)


def accuracy(*questions: list[int]) -> Accuracy:
    ranks = np.array([rank for each in questions for rank in each], np.int64)
    of = np.repeat(np.arange(len(questions)), [len(each) for each in questions])
    return Accuracy.of(ranks, of, len(questions))


def test_metrics_of_single_targets_done_by_hand() -> None:
    shown = np.array([[1, 2], [2, 1], [2, -1], [1, 2], [2, 1]], np.int32)
    metrics = RankingMetrics.of(accuracy([0], [2], [9], [10], [600]), shown, n_items=8).named()
    expected_ndcg = (1 + 1 / np.log2(4) + 1 / np.log2(11)) / 5
    assert metrics == pytest.approx(
        {
            "hr@10": 0.6,
            "ndcg@10": expected_ndcg,
            "recall@100": 0.8,
            "recall@500": 0.8,
            "coverage@10": 0.25,
        }
    )


def test_any_of_several_targets_is_a_hit_and_recall_is_the_share_found() -> None:
    found = accuracy([2, 50, 400, 9000], [700, 800])
    assert found.hr.tolist() == [1, 0]
    assert found.recall_100.tolist() == [0.5, 0]
    assert found.recall_500.tolist() == [0.75, 0]


def test_the_ideal_gain_is_that_of_as_many_targets_as_there_are_up_to_ten() -> None:
    assert accuracy([0, 1, 2], list(range(12))).ndcg.tolist() == pytest.approx([1, 1])
    ideal = 1 + 1 / np.log2(3)
    assert accuracy([0, 99]).ndcg[0] == pytest.approx(1 / ideal)


@given(st.lists(st.sets(st.integers(0, 40), min_size=1, max_size=20), min_size=1, max_size=5))
def test_no_ranking_is_better_than_ideal(questions: list[set[int]]) -> None:
    found = accuracy(*[sorted(each) for each in questions])
    assert (found.ndcg <= 1 + 1e-12).all()
    assert ((found.ndcg > 0) == (found.hr > 0)).all()
    assert (found.recall_100 <= found.recall_500).all()


def test_nothing_asked_gives_zeros() -> None:
    nothing = Accuracy.of(np.empty(0, np.int64), np.empty(0, np.int64), 0)
    assert set(RankingMetrics.of(nothing, NOBODY, 5).named().values()) == {0.0}


def test_recall_by_depth_counts_questions_alike() -> None:
    # One question with its target at rank 3, one with two of which one is at rank 0.
    found = recall_at([1, 3, 4, 100], np.array([3, 0, 60]), np.array([0, 1, 1]))
    assert found == pytest.approx([0.25, 0.25, 0.75, 1.0])


def test_novelty_is_one_bit_for_what_half_of_the_users_know() -> None:
    information = self_information(np.array([4, 8, 1, 0]), 8)
    assert information.tolist() == [1, 0, 3, 3]
    assert novelty(np.array([[0, 1], [2, -1]], np.int32), information) == pytest.approx(4 / 3)
    assert novelty(NOBODY, information) == 0


def test_the_distance_in_a_list_is_that_of_all_its_pairs() -> None:
    vectors = np.array([[1, 0], [0, 2], [3, 3], [0, 0]], np.float32)
    alike, apart = [0, 0, -1], [0, 1, -1]
    assert intra_list_distance(np.array([alike], np.int32), vectors) == pytest.approx(0, abs=1e-6)
    assert intra_list_distance(np.array([apart], np.int32), vectors) == pytest.approx(1)
    # cos(0, 1) = 0, cos(0, 2) = cos(1, 2) = sqrt(1/2)
    mixed = intra_list_distance(np.array([[0, 1, 2]], np.int32), vectors)
    assert mixed == pytest.approx(1 - 2 * np.sqrt(0.5) / 3)


def test_an_item_without_a_vector_makes_no_list_more_diverse() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 0]], np.float32)
    found = intra_list_distance(np.array([[0, 1, 2], [0, 2, -1]], np.int32), vectors)
    assert found == pytest.approx(0, abs=1e-6)
    assert intra_list_distance(np.array([[0, 2, -1]], np.int32), vectors) is None


def test_the_jaccard_distance_is_that_of_all_pairs_of_items_with_groups() -> None:
    members = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], bool)
    shown = np.array([[0, 1, 2], [0, 1, 3], [0, 3, -1]], np.int32)
    assert jaccard_distance(shown, members) == pytest.approx(((0.5 + 1 + 1) / 3 + 0.5) / 2)
    assert jaccard_distance(shown[2:], members) is None
    assert jaccard_distance(NOBODY, members) is None


def test_the_gini_coefficient_tells_even_lists_from_one_item() -> None:
    assert gini(np.array([[0, 1], [2, 3]], np.int32), 4) == 0
    assert gini(np.array([[0], [0], [-1]], np.int32), 4) == pytest.approx(0.75)
    assert gini(NOBODY, 4) == 0
