import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.training.logs import sequences
from training.figures import describe
from training.protocols import leave_last_out
from training.ranks import Ranked

N_ITEMS, N_USERS = 30, 40
FOLD = leave_last_out(sequences(*[[user % 7, 8, 9 + user % 5] for user in range(N_USERS)])).test
NO_GENRES = np.zeros((N_ITEMS, 0), np.float32)


def ranked(ranks: NDArray[np.int64]) -> Ranked:
    shown = np.tile(np.arange(10, dtype=np.int32), (N_USERS, 1))
    return Ranked(ranks, shown, N_ITEMS, np.arange(N_USERS))


FIRST = ranked(np.zeros(N_USERS, np.int64))
MIXED = ranked(np.arange(N_USERS, dtype=np.int64) % 3)
MISSED = ranked(np.full(N_USERS, 25))


def test_each_model_is_compared_with_the_reference() -> None:
    found = describe({"a": MISSED, "two_tower": MIXED, "b": FIRST}, FOLD, NO_GENRES)
    assert found["reference"] == "two_tower"
    assert set(found["paired"]) == {"a", "b"}
    mean = found["models"]["two_tower"]["ndcg@10"]
    assert found["paired"]["a"]["ndcg@10"]["value"] == pytest.approx(-mean)
    better = found["paired"]["b"]["ndcg@10"]
    assert better["value"] == pytest.approx(1 - mean)
    assert 0 < better["low"] < better["value"] < better["high"]
    # Both differ as clearly as can be, so the correction doubles both.
    assert better["p_holm"] == pytest.approx(2 * better["p"])
    assert found["paired"]["b"]["hr@10"]["p_holm"] == 1


def test_the_final_score_is_the_reference_where_it_was_measured() -> None:
    found = describe({"two_tower": MIXED, "tandem": MIXED}, FOLD, NO_GENRES)
    assert found["reference"] == "tandem"
    same = {"value": 0, "low": 0, "high": 0, "p": 1, "p_holm": 1}
    assert found["paired"] == {"two_tower": {"hr@10": same, "ndcg@10": same}}


def test_without_a_reference_nothing_is_compared() -> None:
    found = describe({"popularity": MIXED}, FOLD, NO_GENRES)
    assert (found["reference"], found["paired"]) == (None, {})


def test_novelty_is_by_training_users_and_recall_by_depth() -> None:
    figures = describe({"a": MIXED}, FOLD, NO_GENRES)["models"]["a"]
    known_to = np.array([6, 6, 6, 6, 6, 5, 5, 1, 40, 1])  # items 7 and 9 had no training event
    assert figures["novelty"] == pytest.approx(np.log2(N_USERS / known_to).mean())
    assert figures["recall"][:3] == pytest.approx([14 / 40, 27 / 40, 1])
    assert "ild@10" not in figures
