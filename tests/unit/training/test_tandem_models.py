"""Tandem's models in the comparison: one training for both, and the slate that is served."""

import numpy as np
import pytest

from models.diversity import mmr, pool_size
from models.final_score import TOWERS, FinalScorer
from tests.unit.training.logs import catalogue, sequences
from training.blend import catalogue_scores
from training.config import TowerConfig, TrainingConfig
from training.metrics import TOP
from training.ranks import rank_targets
from training.sequences import EventSequences
from training.splits import Queries, last_new_events
from training.tandem_models import FittedTandem, SharedFit, TandemModel, TwoTowerModel
from training.tower_trainer import TowerTrainer

N = 80
CONFIG = TrainingConfig(towers=TowerConfig(dimensions=8, hidden=8, passes=0))


@pytest.fixture(scope="module")
def log() -> EventSequences:
    rng = np.random.default_rng(0)
    return sequences(*([int(s + step) % N for step in range(6)] for s in rng.integers(N, size=80)))


@pytest.fixture(scope="module")
def queries(log: EventSequences) -> Queries:
    return last_new_events(log, at_most=20)


@pytest.fixture(scope="module")
def scorer(log: EventSequences) -> FinalScorer:
    towers = TowerTrainer(log, catalogue(N), CONFIG, np.inf).snapshot()
    return FinalScorer(towers, [], {TOWERS: 1.0})


def test_both_models_come_out_of_one_training(log: EventSequences, queries: Queries) -> None:
    shared = SharedFit(catalogue(N), CONFIG)
    towers = TwoTowerModel(shared).fit(log, N)
    tandem = TandemModel(shared, diversity=0.0).fit(log, N)
    assert tandem.scorer.towers is towers.scorer
    np.testing.assert_array_equal(
        tandem.score(queries),
        catalogue_scores(shared.of(log).scorer, shared.of(log).around.of(queries)),
    )
    alone = FinalScorer(towers.scorer, [], {TOWERS: 1.0})
    np.testing.assert_allclose(
        towers.score(queries), catalogue_scores(alone, queries), rtol=1e-5, atol=1e-5
    )


def test_another_fold_is_trained_anew(log: EventSequences) -> None:
    shared = SharedFit(catalogue(N), CONFIG)
    first = shared.of(log)
    assert shared.of(log) is first
    assert shared.of(log.select(np.ones(len(log), np.bool_))) is not first


@pytest.mark.parametrize("diversity", [0.05, 0.5])
def test_the_first_ten_are_the_slate_that_is_served(
    scorer: FinalScorer, queries: Queries, diversity: float
) -> None:
    fitted = FittedTandem(scorer, diversity)
    shown = rank_targets(fitted.score, queries, N).shown
    plain = catalogue_scores(scorer, queries)
    for at, row in enumerate(plain):
        unseen = np.setdiff1d(np.arange(N), queries.seen(at))
        ranked = unseen[np.argsort(-row[unseen], kind="stable")]
        pool = ranked[: pool_size(TOP)]
        slate = mmr(row[ranked], scorer.towers.item_vectors[pool], diversity, TOP)
        assert shown[at].tolist() == ranked[slate].tolist()


def test_behind_the_slate_the_order_stays(scorer: FinalScorer, queries: Queries) -> None:
    plain = catalogue_scores(scorer, queries)
    diverse = FittedTandem(scorer, 0.5).score(queries)
    for before, after in zip(plain, diverse, strict=True):
        others = after <= before.max()
        assert (~others).sum() == TOP
        np.testing.assert_array_equal(after[others], before[others])


def test_who_has_seen_everything_or_all_but_one_is_no_trouble(scorer: FinalScorer) -> None:
    log = sequences([*range(N), 0], [*range(N)])
    queries = Queries.at(log, np.array([N, len(log) - 1]))
    ranked = rank_targets(FittedTandem(scorer, 0.3).score, queries, N)
    assert (ranked.shown[0] == -1).all()
    assert ranked.shown[1].tolist() == [N - 1] + [-1] * (TOP - 1)
    assert ranked.ranks[1] == 0


def test_a_catalogue_smaller_than_a_slate_is_shown_whole() -> None:
    log = sequences(*([user % 4, (user + 1) % 4, (user + 2) % 4] for user in range(8)))
    shared = SharedFit(catalogue(4), CONFIG)
    fitted = TandemModel(shared, diversity=0.3).fit(log, 4)
    ranked = rank_targets(fitted.score, last_new_events(log), 4)
    assert ranked.shown.shape == (8, 4)
    assert all(len(set(row.tolist()) - {-1}) == 2 for row in ranked.shown)
