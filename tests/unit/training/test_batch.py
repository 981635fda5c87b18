import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.events import EventKind
from models.final_score import FinalScorer
from models.release import STORED, Items, Release, ReleaseWriter
from tests.unit.training.logs import catalogue, sequences
from training import batch
from training.baselines import GRIDS, LastItem
from training.batch import BASELINES, batch_recommendations, read_lists, write_lists
from training.config import (
    STORED_METHODS,
    TANDEM,
    TWO_TOWER,
    ConfigError,
    TowerConfig,
    TrainingConfig,
    read_config,
)
from training.final_model import fit_final
from training.sequences import EventSequences
from training.splits import Queries

N = 30
HIDDEN = 7
STRANGER = 20
NOBODY = 21


@pytest.fixture(scope="module")
def log() -> EventSequences:
    """Twenty users on rings of ten items, one who only hid an item, one without an event."""
    rng = np.random.default_rng(0)
    walks = [
        [(user % 3) * 10 + (start + step) % 10 for step in range(6)]
        for user, start in enumerate(rng.integers(10, size=20).tolist())
    ]
    return sequences(*walks, [(3, EventKind.HIDE, 0.0)], [])


@pytest.fixture(scope="module")
def items() -> Items:
    available = np.ones(N, dtype=np.bool_)
    available[HIDDEN] = False
    return dataclasses.replace(catalogue(N, ("a", "b")), available=available)


@pytest.fixture(scope="module")
def scorer(log: EventSequences, items: Items) -> FinalScorer:
    config = TrainingConfig(towers=TowerConfig(dimensions=8, hidden=16, passes=1))
    return fit_final(log, items, config, 30.0, lambda *_: None).scorer


def lists(
    scorer: FinalScorer, log: EventSequences, items: Items, method: str, count: int = 5
) -> pd.DataFrame:
    blocks = batch_recommendations(scorer, log, items, count, lambda *_: None, method)
    return pd.concat(blocks, ignore_index=True)


def seen(log: EventSequences, user: int) -> list[int]:
    rows: list[int] = log.rows[log.offsets[user] : log.offsets[user + 1]].tolist()
    return rows


def test_every_method_of_the_comparison_has_a_setting() -> None:
    assert BASELINES.keys() == GRIDS.keys()
    assert (TANDEM, TWO_TOWER, *GRIDS) == STORED_METHODS


@pytest.mark.parametrize("method", STORED_METHODS)
def test_every_user_gets_unseen_available_items_best_first(
    scorer: FinalScorer, log: EventSequences, items: Items, method: str
) -> None:
    found = lists(scorer, log, items, method)
    assert found["user"].tolist() == list(range(log.n_users))
    for user, rows, scores in found.itertuples(index=False):
        assert len(set(rows.tolist())) == len(scores) == 5
        assert not set(rows.tolist()) & {*seen(log, user), HIDDEN}
        assert np.isfinite(scores).all()
        assert (np.diff(scores) <= 0).all()


def test_the_default_predicts_by_the_head_what_the_final_score_ranks(
    scorer: FinalScorer, log: EventSequences, items: Items
) -> None:
    taste, user = log.taste(), 4
    users, now = np.array([user]), np.array([log.times.max()])
    session = log.session_columns(users, log.offsets[[user + 1]], now)
    histories = taste.histories(users, taste.offsets[[user + 1]], now, [""], 100, session)
    scores = scorer.catalogue(histories)[0]
    expected = scores.copy()
    expected[[*seen(log, user), HIDDEN]] = -np.inf
    order = np.argsort(-expected, kind="stable")[:5]
    blocks = batch_recommendations(scorer, log, items, 5, lambda *_: None)
    block = next(blocks)
    assert block["rows"][user].tolist() == order.tolist()
    np.testing.assert_allclose(block["scores"][user], scorer.predict(scores[order]), rtol=1e-4)
    assert (block["scores"][user] <= 1).all()


def test_the_towers_alone_score_by_their_product(
    scorer: FinalScorer, log: EventSequences, items: Items
) -> None:
    found = lists(scorer, log, items, TWO_TOWER)
    asked = Queries.after_all(log, np.array([2]), float(log.times.max()))
    length = scorer.towers.model.schema.history_length
    product = scorer.towers.user_vectors(asked.histories(length)) @ scorer.towers.item_vectors.T
    np.testing.assert_allclose(found["scores"][2], product[0, found["rows"][2]], rtol=1e-4)


def test_the_last_item_seeds_its_list(
    scorer: FinalScorer, log: EventSequences, items: Items
) -> None:
    fitted = LastItem(shrink=5.0).fit(log, N)
    found = lists(scorer, log, items, "last_item")
    for user in (0, 7):
        last = sequences([seen(log, user)[-1]])
        scores = fitted.score(Queries.after_all(last, np.array([0]), 1e9))[0]
        scores[[*seen(log, user), HIDDEN]] = -np.inf
        best = np.sort(scores)[::-1][:5]
        np.testing.assert_allclose(found["scores"][user], best, rtol=1e-5)


@pytest.mark.parametrize("user", [STRANGER, NOBODY])
def test_who_has_shown_no_taste_gets_the_popular(
    scorer: FinalScorer, log: EventSequences, items: Items, user: int
) -> None:
    popular = lists(scorer, log, items, "popularity")["rows"][user].tolist()
    assert popular == lists(scorer, log, items, "transitions")["rows"][user].tolist()


def test_blocks_change_nothing(
    scorer: FinalScorer, log: EventSequences, items: Items, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = (TANDEM, "user_knn", "recent_popularity", "bpr")
    whole = {method: lists(scorer, log, items, method) for method in methods}
    monkeypatch.setattr(batch, "_BLOCK_CELLS", 3 * N)
    for method in methods:
        blocks = list(batch_recommendations(scorer, log, items, 5, lambda *_: None, method))
        assert [len(block) for block in blocks] == [3] * 7 + [1]
        parts = pd.concat(blocks, ignore_index=True)
        for user in range(log.n_users):
            np.testing.assert_allclose(
                parts["scores"][user], whole[method]["scores"][user], rtol=1e-4
            )


def test_a_user_who_saw_nearly_all_gets_what_is_left(scorer: FinalScorer, items: Items) -> None:
    log = sequences([*range(N - 2)], [0, 1])
    found = lists(scorer, log, items, "popularity")
    assert sorted(found["rows"][0].tolist()) == [N - 2, N - 1]


def test_lists_come_back_from_the_file_as_they_were_made(
    scorer: FinalScorer, log: EventSequences, items: Items, tmp_path: Path
) -> None:
    made = lists(scorer, log, items, "ease")
    ids = np.array([f"u{user}" for user in range(log.n_users)], dtype=object)

    def blocks() -> Iterator[pd.DataFrame]:
        yield made[:9]
        yield made[9:]

    with ReleaseWriter(tmp_path) as writer:
        write_lists(writer.path / STORED, blocks(), ids)
        table = pd.DataFrame({"item_id": items.ids, "title": items.titles, "genres": items.genres})
        table = table.assign(year=items.years, adult=items.adult, available=items.available)
        writer.table("items.parquet", table)
        release: Release = writer.commit(
            cut_off=0,
            n_items=N,
            n_users=len(ids),
            n_events=0,
            feature_schema="",
            config={},
            metrics={},
        )
    release.verify()
    back = list(read_lists(release))
    assert [user_id for user_id, _, _ in back] == ids.tolist()
    for (_, item_ids, scores), rows, expected in zip(
        back, made["rows"], made["scores"], strict=True
    ):
        assert item_ids == items.ids[rows].tolist()
        assert scores == expected.tolist()


def test_an_unknown_method_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'magic' is not one of tandem, two_tower, popularity, "):
        TrainingConfig().with_stored_method("magic")
    file = tmp_path / "training.toml"
    file.write_text('stored_method = "ease"\n')
    assert read_config(file).stored_method == "ease"
    file.write_text('stored_method = "magic"\n')
    with pytest.raises(ConfigError, match=r"training\.toml: stored_method: 'magic' is not one of"):
        read_config(file)


def test_after_all_knows_every_event_of_who_is_asked_about_and_of_nobody_else(
    log: EventSequences,
) -> None:
    users = np.array([1, 4, NOBODY])
    asked = Queries.after_all(log, users, 1e9)
    assert asked.users.tolist() == users.tolist()
    assert asked.times.tolist() == [1e9] * 3
    assert asked.known_events.tolist() == [6, 6, 0]
    for at, user in enumerate(users):
        assert asked.seen(at).tolist() == seen(log, user)
    assert len(asked.log) == 15


def test_after_all_sees_the_history_that_the_whole_log_has(log: EventSequences) -> None:
    taste, users = log.taste(), np.arange(log.n_users)
    now = np.full(len(users), 1e9)
    session = log.session_columns(users, log.offsets[1:], now)
    expected = taste.histories(users, taste.offsets[1:], now, [""] * len(users), 4, session)
    found = Queries.after_all(log, users, 1e9).histories(4)
    for name in ("rows", "kinds", "ages", "times", "session"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.regions == expected.regions
    assert (found.rows[STRANGER] == -1).all()
