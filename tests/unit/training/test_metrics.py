import numpy as np
import pytest

from training.metrics import RankingMetrics, rank_of_target

NOTHING = np.empty(0, np.int32)


def test_the_rank_counts_better_unseen_items() -> None:
    scores = np.array([[5, 4, 3, 2, 1]], np.float32)
    seen = [np.array([0], np.int32)]
    assert rank_of_target(scores, np.array([2]), seen).tolist() == [1]


def test_a_constant_scorer_gets_the_middle_rank() -> None:
    assert rank_of_target(np.zeros((1, 101), np.float32), np.array([7]), [NOTHING]).tolist() == [50]


def test_a_target_seen_before_stays_a_candidate() -> None:
    scores = np.array([[1, 9, 3]], np.float32)
    assert rank_of_target(scores, np.array([1]), [np.array([1], np.int32)]).tolist() == [0]


def test_metrics_of_a_case_done_by_hand() -> None:
    metrics = RankingMetrics.of(np.array([0, 2, 9, 10, 600]), {1, 2}, n_items=8).named()
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
