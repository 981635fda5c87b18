import os
from pathlib import Path

import numpy as np
import pytest

from tests.unit.training.logs import sequences
from training.baselines import Popularity, Transitions
from training.data import DataError
from training.evaluate import evaluate, measure
from training.protocols import leave_last_out
from training.readers import read

LOG = "user_id,item_id,event,timestamp\n"


def test_the_last_event_is_the_test_and_the_one_before_is_validation() -> None:
    log = sequences([0, 1, 2], [1, 3], [2, 0, 3, 1])
    split = leave_last_out(log)
    test, validation = split.test, split.validation
    assert test.queries.targets.tolist() == [2, 1]
    assert test.train.rows.tolist() == [0, 1, 1, 3, 2, 0, 3]
    assert validation.queries.targets.tolist() == [1, 3]
    assert validation.train.rows.tolist() == [0, 1, 3, 2, 0]


def test_popularity_of_a_case_done_by_hand() -> None:
    # Items 0, 1, 2 have 3, 2, 1 events before the test; each user's seen items leave the list.
    log = sequences([0, 1, 2], [0, 2, 1], [0, 1, 3])
    fold = leave_last_out(log).test
    found = measure(Popularity(), fold, 12).metrics().named()
    # User 0 finds 2 first, user 1 finds 1 first, user 2 finds 3 behind 2, among ties of the rest.
    ranks = np.array([0, 0, 1 + 8 // 2])
    assert found["ndcg@10"] == pytest.approx(float((1 / np.log2(ranks + 2)).mean()))
    assert found["hr@10"] == 1.0


def test_an_unknown_protocol_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(LOG + "u,i,view,1\n")
    with pytest.raises(DataError, match="leave-last-out"):
        evaluate(read(tmp_path), "sampled")


@pytest.mark.movielens
def test_published_figures_are_met_on_movielens() -> None:
    from training.sequences import event_sequences

    folder = os.environ.get("DATA")
    if not folder or not (Path(folder) / "ratings.csv").exists():
        pytest.skip("DATA names no MovieLens directory")
    data = read(Path(folder))
    fold = leave_last_out(event_sequences(data)).test
    n = len(data.items)
    found = measure(Transitions(), fold, n).metrics().named()
    popular = measure(Popularity(), fold, n).metrics().named()
    assert found["ndcg@10"] == pytest.approx(0.0707, abs=0.001)
    assert popular["ndcg@10"] == pytest.approx(0.0194, abs=0.001)
