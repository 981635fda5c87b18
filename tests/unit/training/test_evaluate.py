import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.unit.training.logs import sequences
from training.baselines import Popularity, Transitions
from training.data import DataError, InteractionData
from training.evaluate import evaluate, measure
from training.protocols import PROTOCOLS, leave_last_out
from training.readers import read
from training.sequences import event_sequences
from training.synthetic import write_world

LOG = "user_id,item_id,event,timestamp\n"
NAMES = ("popularity", "recent_popularity", "transitions")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> InteractionData:
    return read(write_world(tmp_path_factory.mktemp("world"), n_users=60, n_items=80).path)


def test_popularity_of_a_case_done_by_hand() -> None:
    # Items 0, 1, 2 have 3, 2, 1 events before the test; each user's seen items leave the list.
    log = sequences([0, 1, 2], [0, 2, 1], [0, 1, 3])
    fold = leave_last_out(log).test
    found = measure(Popularity(), fold, 12).metrics().named()
    # User 0 finds 2 first, user 1 finds 1 first, user 2 finds 3 behind 2, among ties of the rest.
    ranks = np.array([0, 0, 1 + 8 // 2])
    assert found["ndcg@10"] == pytest.approx(float((1 / np.log2(ranks + 2)).mean()))
    assert found["hr@10"] == 1.0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_document_has_all_that_is_promised(world: InteractionData, protocol: str) -> None:
    document = json.loads(json.dumps(evaluate(world, protocol, NAMES), allow_nan=False))
    assert document["protocol"] == protocol
    assert 0 < document["users"] <= document["questions"] <= document["targets"]
    assert (document["users"] < document["questions"]) == (protocol == "stream")
    assert (document["questions"] < document["targets"]) == (protocol == "temporal")
    assert list(document["models"]) == list(NAMES)
    for name, figures in document["models"].items():
        assert 0 <= figures["ndcg@10"] <= figures["hr@10"] <= 1
        low, high = figures["ci"]["ndcg@10"]
        assert low <= figures["ndcg@10"] <= high
        at = document["recall_depths"].index(100)
        assert figures["recall"][at] == pytest.approx(figures["recall@100"])
        for cohorts in figures["cohorts"].values():
            total = sum(each["n"] * (each["recall@100"] or 0) for each in cohorts.values())
            assert protocol == "temporal" or total / document["questions"] == pytest.approx(
                figures["recall@100"]
            )
        assert 0 < figures["coverage@10"] <= 1 and figures["novelty"] > 0
        assert 0 < figures["ild@10"] < 1
        assert set(figures["seconds"]) == {"choose", "fit", "score"}
        assert document["settings"][name]
    assert document["reference"] is None and document["paired"] == {}


def test_the_setting_that_validates_best_is_the_one_that_is_tested(world: InteractionData) -> None:
    document = evaluate(world, "leave-last-out", ["transitions", "popularity"])
    tried = document["validation"]["transitions"]
    best = max(tried, key=lambda row: row["ndcg@10"])
    assert document["settings"]["transitions"] == best["setting"]
    assert len(tried) > 1 and "popularity" not in document["validation"]
    fold = leave_last_out(event_sequences(world)).test
    chosen = next(each for each in (0.4, 0.6, 0.8) if f"query_decay={each}" in best["setting"])
    found = measure(Transitions(query_decay=chosen), fold, len(world.items)).metrics().named()
    figures = document["models"]["transitions"]
    assert {name: figures[name] for name in found} == found


def test_genres_are_not_needed(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        LOG + "".join(f"u{at % 5},i{at * at % 7},view,{at}\n" for at in range(30))
    )
    figures = evaluate(read(tmp_path), "stream", ["popularity"])["models"]["popularity"]
    assert "ild@10" not in figures


def test_an_unknown_protocol_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(LOG + "u,i,view,1\n")
    with pytest.raises(DataError, match="leave-last-out"):
        evaluate(read(tmp_path), "sampled")


def test_an_unknown_model_is_refused_with_the_known_ones(world: InteractionData) -> None:
    with pytest.raises(DataError, match=r"'popularty' is not one of .*popularity"):
        evaluate(world, "stream", ["popularty"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_log_too_small_for_the_protocol_is_refused(tmp_path: Path, protocol: str) -> None:
    (tmp_path / "events.csv").write_text(LOG + "u,i,view,1\nu,j,view,1\n")
    with pytest.raises(DataError, match=f"{protocol} finds no event to predict in 2 events of 1"):
        evaluate(read(tmp_path), protocol)


@pytest.mark.movielens
def test_published_figures_are_met_on_movielens() -> None:
    folder = os.environ.get("DATA")
    if not folder or not (Path(folder) / "ratings.csv").exists():
        pytest.skip("DATA names no MovieLens directory")
    data = read(Path(folder))
    log, n = event_sequences(data), len(data.items)

    def figures(method: Popularity | Transitions, protocol: str) -> tuple[float, float]:
        metrics = measure(method, PROTOCOLS[protocol](log).test, n).metrics()
        return metrics.hr, metrics.ndcg

    assert figures(Popularity(), "leave-last-out") == pytest.approx((0.043, 0.0194), abs=1e-3)
    assert figures(Transitions(), "leave-last-out") == pytest.approx((0.125, 0.0707), abs=1e-3)
    assert figures(Popularity(), "temporal") == pytest.approx((0.333, 0.112), abs=1e-3)
    assert figures(Transitions(), "temporal") == pytest.approx((0.519, 0.139), abs=1e-3)
