import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.final_score import DEFAULT_WEIGHTS
from models.release import Items
from services.retrieval.loaded import load_release
from services.retrieval.merge import Quota
from services.retrieval.query import Query
from services.retrieval.server import QUOTAS, candidate_sources
from services.retrieval.vectors import ExactIndex, Found
from tests.unit.training.logs import sequences
from training.config import TowerConfig, TrainingConfig
from training.data import InteractionData, item_table
from training.evaluate import evaluate
from training.lift import (
    ALL,
    CANDIDATES,
    find,
    fitted_release,
    lift,
    list_recall,
    part_lift,
    source_lift,
    user_histories,
)
from training.pipeline import train
from training.protocols import PROTOCOLS, Fold, leave_last_out
from training.ranks import rank_targets
from training.readers import read
from training.report import lift_tables, page
from training.sequences import event_sequences
from training.splits import Queries, thinned
from training.synthetic import write_world
from training.tandem_models import FittedTandem, SharedFit

CONFIG = TrainingConfig(towers=TowerConfig(dimensions=16, passes=1), stored_items=5)
METRICS = {"hr@10", "ndcg@10", "recall@100", "recall@500", "coverage@10"}


def silent(*_: object) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> InteractionData:
    return read(write_world(tmp_path_factory.mktemp("world"), n_users=60, n_items=80).path)


@pytest.fixture(scope="module")
def items(world: InteractionData) -> Items:
    return item_table(world)


@pytest.fixture(scope="module")
def fold(world: InteractionData) -> Fold:
    return leave_last_out(event_sequences(world)).test


@pytest.fixture(scope="module")
def shared(items: Items) -> SharedFit:
    return SharedFit(items, CONFIG)


@pytest.fixture(scope="module")
def document(shared: SharedFit, fold: Fold) -> dict[str, Any]:
    steps = dict[str, list[tuple[int, int]]]()
    found = lift(
        shared.of(fold.train),
        CONFIG,
        shared.items,
        fold,
        lambda stage, done, of: steps.setdefault(stage, []).append((done, of)),
    )
    for counted in steps.values():
        assert counted == sorted(counted) and counted[-1] == (60, 60)
    return found


class TestParts:
    def test_all_parts_are_those_that_are_served(
        self, document: Mapping[str, Any], shared: SharedFit, fold: Fold
    ) -> None:
        scorer = shared.of(fold.train).scorer
        parts = document["parts"]
        served = {name for name, each in parts.items() if name != ALL and each["weight"]}
        assert served == {name for name in scorer.names if scorer.weights[name]}
        ranked = rank_targets(FittedTandem(scorer, 0.0).score, fold.queries, len(shared.items))
        assert parts[ALL] == ranked.metrics().named()

    def test_alone_is_that_part_and_without_is_all_others(
        self, document: Mapping[str, Any], shared: SharedFit, fold: Fold
    ) -> None:
        scorer = shared.of(fold.train).scorer

        def summed(block: Queries, names: list[str]) -> np.ndarray[Any, Any]:
            histories = block.histories(scorer.towers.model.schema.history_length)
            every = scorer.catalogue_parts(histories)
            return np.asarray(every[:, [scorer.names.index(name) for name in names]].sum(axis=1))

        for name in scorer.names:
            others = [other for other in scorer.names if other != name]
            for key, chosen in (("alone", [name]), ("without", others)):
                ranked = rank_targets(
                    lambda block, chosen=chosen: summed(block, chosen),  # type: ignore[misc]
                    fold.queries,
                    len(shared.items),
                )
                found, figures = document["parts"][name][key], ranked.metrics().named()
                assert found["ndcg@10"] == pytest.approx(figures["ndcg@10"], abs=1e-3), (name, key)

    def test_questions_with_several_targets_are_ranked_like_all_others(
        self, shared: SharedFit, fold: Fold, world: InteractionData
    ) -> None:
        fit = shared.of(fold.train)
        queries = PROTOCOLS["temporal"](event_sequences(world)).test.queries
        assert len(queries) > len(queries.questions()[0])
        found = part_lift(fit, CONFIG, queries, silent)[ALL]
        score = FittedTandem(fit.scorer, 0.0).score
        assert found == rank_targets(score, queries, len(shared.items)).metrics().named()

    def test_a_part_that_does_not_count_is_still_measured_alone(
        self, shared: SharedFit, fold: Fold
    ) -> None:
        fit = shared.of(fold.train)
        weights = fit.scorer.weights
        fit.scorer.weights = weights | {"popularity": 0.0}
        try:
            parts = part_lift(fit, CONFIG, fold.queries, silent)
        finally:
            fit.scorer.weights = weights
        assert parts["popularity"]["weight"] == 0
        assert parts["popularity"]["without"] == parts[ALL]
        assert parts["popularity"]["alone"]["recall@100"] > 0


class TestSources:
    def test_each_finds_what_it_finds_in_a_written_release(
        self, world: InteractionData, tmp_path: Path
    ) -> None:
        release = train(world, CONFIG, tmp_path)
        loaded, items = load_release(tmp_path, release.release_id), release.items
        log = event_sequences(world)  # a release learns from all of it, so the fold does too
        fold = Fold(log, Queries.at(log, log.offsets[1:] - 1))
        fit = SharedFit(items, CONFIG).of(log)
        users = user_histories(fit, fold, fold.queries)
        found = find(fitted_release(fit, CONFIG, items, fold), items, fold.queries, users, silent)
        index = ExactIndex()
        index.hold(loaded.release_id, loaded.tables)
        for at in (0, 17, 42):
            excluded = np.zeros(len(items), dtype=np.bool_)
            excluded[fold.queries.seen(at)] = True
            query = Query(loaded, users[at], CANDIDATES, excluded, int(excluded.sum()), 60.0)
            assert found[at].keys() == QUOTAS.keys()
            for source in candidate_sources(index):
                expected = asyncio.run(source.fetch(query))
                np.testing.assert_array_equal(found[at][source.name].rows, expected.rows)

    def test_lift_of_a_case_done_by_hand(self) -> None:
        # Targets 5, 6, 7. "near" knows the first, "far" the first and the second, none the third.
        log = sequences([0, 1, 5], [0, 2, 6], [0, 3, 7])
        queries = leave_last_out(log).test.queries
        near = [[5, 8], [8, 9], [9]]
        far = [[9, 5], [6], [8]]
        found = [{"near": listed(a), "far": listed(b)} for a, b in zip(near, far, strict=True)]
        quotas = {"near": Quota(0.5, 1.0), "far": Quota(0.5, 1.0)}
        sources = source_lift(found, quotas, queries)
        assert sources["near"]["alone"]["recall@100"] == pytest.approx(1 / 3)
        assert sources["near"]["without"] == sources["far"]["alone"] == sources[ALL]
        assert sources[ALL]["recall@500"] == pytest.approx(2 / 3)

    def test_a_target_deep_in_the_list_counts_only_as_deep(self) -> None:
        queries = leave_last_out(sequences([0, 1, 150], [0, 1, 99])).test.queries
        rows = np.arange(500, dtype=np.int32)
        assert list_recall([rows, rows], queries) == {"recall@100": 0.5, "recall@500": 1.0}

    def test_recall_of_a_question_with_several_targets_is_their_share(self) -> None:
        log = sequences([0, 1, 2, 3, 4])
        queries = Queries(log, np.array([2, 3, 4]), np.array([2, 2, 2]))
        found = list_recall([np.array([4, 9, 2], dtype=np.int32)], queries)
        assert found["recall@100"] == pytest.approx(2 / 3)


def test_thinning_keeps_questions_whole_and_spreads_them() -> None:
    log = sequences(*([row, row + 1, row + 2, row + 3] for row in range(0, 40, 4)))
    split = PROTOCOLS["temporal"](log)
    assert thinned(split.test.queries, 10_000).positions.tolist() == (
        split.test.queries.positions.tolist()
    )
    positions = np.sort(np.concatenate([log.offsets[:-1] + 2, log.offsets[:-1] + 3]))
    queries = Queries(log, positions, np.repeat(log.offsets[:-1] + 2, 2))
    kept = thinned(queries, 4)
    assert kept.users.tolist() == [0, 0, 3, 3, 6, 6, 9, 9]


def test_the_document_holds_what_is_promised(document: dict[str, Any]) -> None:
    json.dumps(document, allow_nan=False)
    assert document["lift_questions"] == 60
    assert list(document["parts"]) == [*DEFAULT_WEIGHTS, ALL]
    assert list(document["sources"]) == [*QUOTAS, ALL]
    for name, each in document["parts"].items():
        rows = [each] if name == ALL else [each["alone"], each["without"]]
        assert all(row.keys() == METRICS for row in rows)


def test_tables_say_what_each_adds() -> None:
    both = {"recall@100": 0.5, "recall@500": 0.8}
    of_all = {"recall@100": 0.6, "recall@500": 0.75}
    document = {
        "lift_questions": 9,
        "parts": {ALL: {"ndcg@10": 0.1, **of_all}},
        "sources": {"<new>": {"alone": both, "without": both}, ALL: of_all},
    }
    _parts, (columns, rows) = lift_tables(document).values()
    assert dict(zip(columns, rows[0], strict=True)) == {
        "source": "<new>",
        "recall@100 alone": 0.5,
        "recall@500 alone": 0.8,
        "adds to recall@100": "+0.1000",
        "adds to recall@500": "-0.0500",
    }
    assert lift_tables({"models": {}}) == {}


def listed(rows: list[int]) -> Found:
    return Found(np.array(rows, dtype=np.int32), -np.arange(len(rows), dtype=np.float32))


def test_an_evaluation_of_the_final_score_shows_both_tables(world: InteractionData) -> None:
    evaluated = evaluate(world, "leave-last-out", ["tandem", "popularity"])
    assert evaluated["parts"].keys() == {*DEFAULT_WEIGHTS, ALL}
    assert evaluated["sources"].keys() == {*QUOTAS, ALL}
    text = page(evaluated)
    for name in (*evaluated["parts"], *evaluated["sources"]):
        assert f"<td>{name}</td>" in text
    assert "Recall of candidate sources" in text
    without = evaluate(world, "leave-last-out", ["popularity"])
    assert not without.keys() & {"parts", "sources", "lift_questions"}
