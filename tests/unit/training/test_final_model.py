"""The final score from log to release: what is trained, what is written, what is served."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pandas as pd
import pytest

from models.events import EventKind
from models.evidence import Evidence, GenreEvidence, NewcomerEvidence
from models.final_score import TOWERS, FinalScorer, release_scorer
from models.head import CLICK, OBJECTIVES, UTILITY, ObjectiveError
from models.history import UserHistory
from models.matrix_factorization import FactorizationConfig
from models.metadata import genre_vectors
from models.release import (
    EASE_SCORES,
    ITEM_FACTORS,
    ITEM_VECTORS,
    MODEL,
    TRANSITION_ROWS,
    Items,
    Release,
    ReleaseError,
)
from tandem_cli.main import main
from training.blend import catalogue_scores
from training.config import IMPLICIT_FACTORS, TowerConfig, TrainingConfig
from training.data import InteractionData, assemble, empty_items, empty_users, item_table
from training.final_model import FinalFit, fit_final
from training.friends import Friends
from training.pipeline import train
from training.ranks import rank_targets
from training.sequences import EventSequences, event_sequences
from training.splits import last_new_events
from training.surroundings import Around
from training.trend import choose_half_life

N = 31  # three rings of ten, and one item without events
FACTORS: FactorizationConfig = replace(IMPLICIT_FACTORS, dimensions=8, steps=4)
# A history shorter than users' logs: parts must not look further back live than offline.
TOWERS_CONFIG = TowerConfig(
    dimensions=8, hidden=16, history_length=5, passes=2, batch=128, learning_rate=5e-3
)
CONFIG = TrainingConfig(factorization=FACTORS, towers=TOWERS_CONFIG, stored_items=10)
ALL = np.arange(N, dtype=np.int32)

Event = tuple[int, int, EventKind, float]
"""User, item, kind, value."""


def interactions(
    events: Sequence[Event], n_items: int = 0, genres: Sequence[str] = ()
) -> InteractionData:
    """A log with one event a minute; item i of a catalogue has the genre i modulo their number."""
    frame = pd.DataFrame(
        [(f"u{user}", f"i{item:03}", int(kind), value) for user, item, kind, value in events],
        columns=["user_id", "item_id", "kind", "value"],
    ).assign(timestamp=1e9 + 60.0 * np.arange(len(events)), region="")
    items = empty_items()
    if n_items:
        of_item = [(genres[row % len(genres)],) if genres else () for row in range(n_items)]
        items = pd.DataFrame(
            {
                "item_id": [f"i{row:03}" for row in range(n_items)],
                "title": "",
                "genres": pd.Series(of_item, dtype=object),
                "year": np.zeros(n_items, np.int16),
                "adult": False,
                "available": True,
                "creators": pd.Series([()] * n_items, dtype=object),
                "available_from": 0.0,
                "available_until": np.inf,
            }
        )
    return assemble(frame, items, empty_users())


def walk(
    users: int, length: int, n_items: int, kind: EventKind = EventKind.CLICK, value: float = 0.0
) -> list[Event]:
    """Users go round all items, one after another."""
    return [
        (user, (user * 3 + step) % n_items, kind, value)
        for step in range(length)
        for user in range(users)
    ]


def rings(n_users: int = 60) -> list[Event]:
    """Users walk rings of ten items; some dislike or rate what they find."""
    rng = np.random.default_rng(0)
    kinds = [EventKind.CLICK, EventKind.RATING, EventKind.LIKE, EventKind.DISLIKE]
    starts = rng.integers(10, size=n_users)
    return [
        (user, user % 3 * 10 + int(starts[user] + step) % 10, kind, 4.0 * (kind == kinds[1]))
        for step in range(8)
        for user in range(n_users)
        for kind in [kinds[int(rng.choice(4, p=[0.5, 0.2, 0.2, 0.1]))]]
    ]


@pytest.fixture(scope="module")
def data() -> InteractionData:
    return interactions(rings(), N, ("a", "b", "c"))


@pytest.fixture(scope="module", params=OBJECTIVES)
def config(request: pytest.FixtureRequest) -> TrainingConfig:
    return CONFIG.with_objective(request.param)


@pytest.fixture(scope="module")
def release(
    data: InteractionData, config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory
) -> Release:
    return train(data, config, tmp_path_factory.mktemp("releases"))


def fit(data: InteractionData, config: TrainingConfig) -> FinalFit:
    log, items = event_sequences(data), item_table(data)
    config = config.for_events(len(log))
    return fit_final(log, items, config, choose_half_life(log, len(items)), lambda *_: None)


@pytest.fixture(scope="module")
def fitted(data: InteractionData, config: TrainingConfig) -> FinalFit:
    return fit(data, config)


def before_event(log: EventSequences, position: int) -> UserHistory:
    """All that is known of the event's user just before it, as the live system has it."""
    begin = log.offsets[np.searchsorted(log.offsets, position, side="right") - 1]
    known = slice(int(begin), position)
    return UserHistory(
        rows=log.rows[known],
        kinds=log.kinds[known],
        ages=(log.times[position] - log.times[known]).astype(np.float32),
        values=log.values[known],
        time=float(log.times[position]),
    )


def nobody(time: float = 1e9) -> UserHistory:
    nothing = np.empty(0, np.float32)
    return UserHistory(nothing.astype(np.int32), nothing.astype(np.int8), nothing, nothing, time)


def test_offline_and_live_scores_are_the_same_numbers(
    fitted: FinalFit, data: InteractionData
) -> None:
    log = event_sequences(data)
    queries = last_new_events(log, at_most=20)
    offline = catalogue_scores(fitted.scorer, queries)
    for position, row in zip(queries.positions, offline, strict=True):
        live = fitted.scorer.score(before_event(log, int(position)), ALL)
        np.testing.assert_allclose(live, row, rtol=1e-4, atol=1e-4)


def test_a_score_is_the_sum_of_its_parts_whatever_the_other_candidates(
    fitted: FinalFit, data: InteractionData
) -> None:
    scorer, log = fitted.scorer, event_sequences(data)
    user = before_event(log, int(log.offsets[1]) - 1)
    rows = np.array([4, 30, 4, 17], np.int32)
    parts = scorer.parts(user, rows)
    assert parts.shape == (len(scorer.names), len(rows))
    assert scorer.names[0] == TOWERS
    np.testing.assert_array_equal(parts.sum(axis=0), scorer.score(user, rows))
    np.testing.assert_allclose(
        scorer.score(user, rows), scorer.score(user, ALL)[rows], rtol=1e-5, atol=1e-5
    )


def test_a_release_scores_as_the_model_it_was_written_from(
    fitted: FinalFit, release: Release, data: InteractionData
) -> None:
    """Trained apart from each other: the same seed gives the same model, bit for bit."""
    served, trained, log = release_scorer(release), fitted.scorer, event_sequences(data)
    assert served.weights == trained.weights
    assert served.head == trained.head
    for user in (nobody(), *(before_event(log, int(end) - 1) for end in log.offsets[1:9])):
        scores = served.score(user, ALL)
        np.testing.assert_array_equal(scores, trained.score(user, ALL))
        np.testing.assert_array_equal(served.predict(scores), trained.predict(scores))
        assert np.isfinite(scores).all()


def test_two_trainings_differ_in_nothing(
    fitted: FinalFit, data: InteractionData, config: TrainingConfig
) -> None:
    again = fit(data, config)
    one, other = (each.scorer.towers.model.state_dict() for each in (fitted, again))
    assert all(bool((one[name] == other[name]).all()) for name in one)
    assert again.scorer.weights == fitted.scorer.weights
    assert again.calibration == fitted.calibration
    assert again.validation == fitted.validation
    np.testing.assert_array_equal(again.factors.items, fitted.factors.items)
    np.testing.assert_array_equal(again.tables.ease.scores, fitted.tables.ease.scores)


def test_stored_lists_hold_what_the_released_scorer_predicts(
    release: Release, data: InteractionData
) -> None:
    log, scorer = event_sequences(data), release_scorer(release)
    now = float(log.times.max())
    for user, (rows, scores) in enumerate(release.stored()[["rows", "scores"]].itertuples(False)):
        own = slice(int(log.offsets[user]), int(log.offsets[user + 1]))
        known = UserHistory(
            rows=log.rows[own],
            kinds=log.kinds[own],
            ages=(now - log.times[own]).astype(np.float32),
            values=log.values[own],
            time=now,
        )
        everything = scorer.score(known, ALL)
        np.testing.assert_allclose(
            scores, scorer.predict(everything)[rows], rtol=1e-3, atol=1e-3 * scores.max()
        )
        unseen = np.setdiff1d(ALL, log.rows[own])
        assert everything[rows].min() >= np.sort(everything[unseen])[-len(rows)] - 1e-3


def test_the_manifest_holds_weights_head_and_metrics_of_the_objective(
    release: Release, config: TrainingConfig
) -> None:
    manifest = release.manifest
    assert manifest.config["objective"] == manifest.head["objective"] == config.objective
    assert TOWERS in manifest.weights
    assert max(manifest.weights.values()) > 0
    assert min(manifest.weights.values()) >= 0
    assert set(manifest.metrics) >= {"hr@10", "ndcg@10", "recall@100", "recall@500", "ece"}
    assert 0 <= manifest.metrics["ece"] <= 1
    predictions = release_scorer(release).predict(np.linspace(-50, 50, 9, dtype=np.float32))
    assert predictions.min() >= 0
    assert predictions.max() <= (1 if config.objective == CLICK else 15)


def test_the_ring_that_a_user_walks_comes_before_all_others(fitted: FinalFit) -> None:
    rows = np.array([3, 4, 5], np.int32)
    zeros = np.zeros(3, np.float32)
    user = UserHistory(rows, np.full(3, EventKind.CLICK, np.int8), zeros, zeros, 1e9)
    scores = fitted.scorer.score(user, ALL)
    scores[rows] = -np.inf
    assert set(np.argsort(-scores)[:7].tolist()) == {0, 1, 2, 6, 7, 8, 9}


@pytest.mark.parametrize("name", [ITEM_VECTORS, MODEL, TRANSITION_ROWS, EASE_SCORES, ITEM_FACTORS])
def test_a_missing_part_is_named(release: Release, tmp_path: Path, name: str) -> None:
    copy = copytree(release.path, tmp_path / "copy")
    (copy / name).unlink()
    with pytest.raises(ReleaseError, match=name.replace(".", r"\.")) as refused:
        release_scorer(Release(copy))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("head", {"objective": "joy", "knots": [0, 1], "values": [0, 1]}),
        ("head", {"objective": CLICK, "knots": [0, 1], "values": [1, 0]}),
        ("head", {"objective": CLICK}),
        ("config", {"evidence": {}}),
        ("config", {"evidence": {"moods": 3}, "factorization": {}}),
    ],
)
def test_a_damaged_manifest_is_refused_as_a_release(
    release: Release, tmp_path: Path, key: str, value: object
) -> None:
    copy = copytree(release.path, tmp_path / "copy")
    manifest = json.loads((copy / "release.json").read_text())
    (copy / "release.json").write_text(json.dumps(manifest | {key: value}))
    with pytest.raises(ReleaseError):
        release_scorer(Release(copy))


def test_a_release_without_weights_is_served_by_its_towers(
    release: Release, tmp_path: Path
) -> None:
    copy = copytree(release.path, tmp_path / "copy")
    manifest = json.loads((copy / "release.json").read_text())
    (copy / "release.json").write_text(json.dumps(manifest | {"weights": {}, "head": {}}))
    scorer = release_scorer(Release(copy))
    scores = scorer.score(nobody(), ALL)
    np.testing.assert_array_equal(scores, scorer.towers.score(nobody(), ALL))
    np.testing.assert_array_equal(scorer.predict(scores), scores)


def test_where_the_blend_does_not_beat_the_towers_its_stand_in_is_what_is_measured() -> None:
    data = interactions(walk(30, 10, 15), 40, ("a", "b"))
    found = fit(data, TrainingConfig(factorization=FACTORS))
    assert found.scorer.weights == {TOWERS: 1.0, "genres": 6.0, "newcomers": 2.0}
    vectors = genre_vectors(item_table(data).genres)
    fixed: list[Evidence] = [GenreEvidence(vectors, vectors.mean(axis=0)), NewcomerEvidence(1e-3)]
    trial = FinalScorer(found.towers.unaware, fixed, found.scorer.weights)
    held_out = replace(found.towers.held_out, recorded=True)
    around = Around(Friends.none(held_out.log.n_users), found.trend_half_life_days)
    ranked = rank_targets(lambda q: catalogue_scores(trial, q), around.of(held_out), 40)
    assert found.validation == ranked.metrics().named() | {"ece": found.calibration.ece}


def test_the_chosen_towers_are_measured_by_their_own_gain(fitted: FinalFit) -> None:
    towers = fitted.towers

    alone = FinalScorer(towers.unaware, [], {TOWERS: 1.0})
    ranked = rank_targets(lambda q: catalogue_scores(alone, q), towers.held_out, N)
    assert towers.gain == ranked.gain()
    assert towers.chosen == ranked.metrics().named()
    assert 0 <= towers.passes <= TOWERS_CONFIG.passes
    assert 0 <= towers.share <= 1
    assert (towers.share == 0) == (towers.passes == 0)


LARGE_CATALOGUE = TowerConfig(  # as for millions of events: sampled, and no second training
    dimensions=8,
    hidden=8,
    passes=1,
    batch=64,
    full_softmax_items=0,
    negatives=8,
    factor_learning_rate=1e-3,
    refit=False,
)
TINY: dict[str, Callable[[], InteractionData]] = {
    "one event": lambda: interactions([(0, 0, EventKind.CLICK, 0.0)]),
    "one user": lambda: interactions(walk(1, 12, 20)),
    "one item": lambda: interactions([(user, 0, EventKind.CLICK, 0.0) for user in range(4)]),
    "three items": lambda: interactions(walk(6, 2, 3)),
    "one event a user": lambda: interactions(walk(20, 1, 5)),
    "everything seen by everyone": lambda: interactions(walk(5, 8, 8)),
    "views only, no genres": lambda: interactions(walk(20, 6, 15, EventKind.VIEW)),
    "ratings of zero": lambda: interactions(walk(20, 6, 15, EventKind.RATING)),
    "most items never seen": lambda: interactions(walk(20, 6, 15), 60, ("a", "b")),
}


@pytest.mark.parametrize(
    ("objective", "towers"),
    [(CLICK, None), (UTILITY, None), (UTILITY, LARGE_CATALOGUE)],
    ids=["click", "utility", "utility, sampled"],
)
@pytest.mark.parametrize("name", TINY)
def test_the_smallest_logs_give_a_release_that_serves(
    name: str, objective: str, towers: TowerConfig | None, tmp_path: Path
) -> None:
    data = TINY[name]()
    config = TrainingConfig(factorization=FACTORS, towers=towers, objective=objective)
    release = train(data, config, tmp_path)
    json.dumps(release.manifest.metrics, allow_nan=False)
    items: Items = release.items
    rows = np.arange(len(items), dtype=np.int32)
    log, scorer = event_sequences(data), release_scorer(release)
    for user in (nobody(), before_event(log, len(log) - 1)):
        predictions = scorer.predict(scorer.score(user, rows))
        assert np.isfinite(predictions).all()
        assert predictions.min() >= 0
    for at, listed in enumerate(release.stored()["rows"]):
        seen = set(log.rows[log.offsets[at] : log.offsets[at + 1]].tolist())
        assert set(listed.tolist()) <= set(rows.tolist()) - seen


def test_an_objective_that_does_not_exist_is_one_clear_line(
    data: InteractionData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    options = ["train", "--data", str(tmp_path), "--objective", "joy", "--state", str(state)]
    with pytest.raises(SystemExit) as exited:
        main(options)
    assert exited.value.code not in (0, None)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "--objective" in line
    assert "'joy' is not one of 'click', 'utility'" in line
    assert not state.exists()


def test_no_objective_but_those_there_are_is_trained(data: InteractionData, tmp_path: Path) -> None:
    with pytest.raises(ObjectiveError, match="'joy' is not one of click, utility"):
        train(data, CONFIG.with_objective("joy"), tmp_path)
    assert not list(tmp_path.iterdir())
