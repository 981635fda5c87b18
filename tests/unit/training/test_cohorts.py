import numpy as np
import pytest

from tests.unit.training.logs import sequences
from training.cohorts import by_cohort, cohorts, head_items
from training.protocols import Fold
from training.ranks import Ranked
from training.splits import Queries


def test_the_head_is_the_fewest_items_with_half_of_the_events() -> None:
    assert head_items(np.array([1, 5, 3, 1])).tolist() == [False, True, False, False]
    assert head_items(np.array([4, 2, 4])).tolist() == [True, False, True]
    assert not head_items(np.zeros(3, np.int64)).any()


def test_every_target_is_in_one_cohort_of_each_kind() -> None:
    log = sequences([0] * 30, [1] * 7 + [2], [3])
    train = sequences([0] * 10, [1] * 7 + [2], [])
    queries = Queries.at(log, np.array([0, 4, 5, 29, 37, 38]))
    found = cohorts(Fold(train, queries), 5)
    for masks in found.values():
        assert (np.sum(list(masks.values()), axis=0) == 1).all()
    assert {name: mask.sum() for name, mask in found["history"].items()} == {
        "0-4": 3,
        "5-19": 2,
        "20-99": 1,
        "100+": 0,
    }
    assert found["first"]["first event"].tolist() == [True, False, False, False, False, True]
    assert found["target"]["head"].tolist() == [True] * 4 + [False] * 2
    assert found["target"]["new"].tolist() == [False] * 5 + [True]


def test_figures_of_a_cohort_count_its_targets_only() -> None:
    ranks, questions = np.array([0, 600, 3]), np.array([0, 0, 1])
    ranked = Ranked(ranks, np.zeros((2, 10), np.int32), 1000, questions)
    masks = {"kind": {"a": np.array([True, False, True]), "none": np.zeros(3, np.bool_)}}
    found = by_cohort(ranked, masks)["kind"]
    assert found["a"]["n"] == 2
    assert found["a"]["recall@100"] == 1
    assert found["a"]["ndcg@10"] == pytest.approx((1 + 1 / np.log2(5)) / 2)
    assert found["none"] == {
        "n": 0,
        "hr@10": None,
        "ndcg@10": None,
        "recall@100": None,
        "recall@500": None,
    }
