"""A log that ended in 2003 serves as well as one that ended lately: nothing but ages counts."""

import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pytest
from numpy.typing import NDArray

from models.final_score import FinalScorer, release_scorer
from models.release import Release
from models.scorer import TowerScorer
from services.common.deadlines import Budget
from services.orchestrator.candidates import Query
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.clients import UserFeatures
from services.orchestrator.hydrators import with_user
from services.orchestrator.seen import SeenItems
from training.config import TowerConfig, TrainingConfig
from training.data import InteractionData
from training.pipeline import train
from training.readers import read
from training.synthetic import World, write_world

SECONDS_A_DAY = 86_400.0
TWENTY_YEARS = 7_305 * SECONDS_A_DAY
"""Whole days, so that hours of the day stay: the newer log ends in October 2023."""

CONFIG = TrainingConfig(towers=TowerConfig(dimensions=32, hidden=64, passes=6, refit=False))
TOP = 10

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # trains twice


@dataclass(frozen=True)
class Served:
    """A world, the release learnt from its log, and that log.

    Attributes:
        towers_alone: score by the one part that looks at how long ago events were.
    """

    world: World
    data: InteractionData
    release: Release

    towers_alone: bool = False

    @cached_property
    def scorer(self) -> FinalScorer | TowerScorer:
        final = release_scorer(self.release)
        return final.towers if self.towers_alone else final

    def scores(self, user_id: str, as_of: float, now: float) -> NDArray[np.float32]:
        """(n,) scores as the orchestrator asks for them; -inf for seen items.

        Args:
            as_of: the request's own time; 0 when it names none.
            now: the clock.
        """
        query = Query(
            request_id="",
            user_id=user_id,
            count=TOP,
            time=as_of or now,
            as_of=as_of,
            catalogue=Catalogue.of(self.release),
            budget=Budget.of(5),
        )
        known = self._features(user_id)
        seen = SeenItems.of(known.seen_item_ids, query.catalogue)
        query = with_user(query, known, seen)
        assert query.user is not None
        scores = self.scorer.score(query.user, np.arange(len(self.release.items), dtype=np.int32))
        scores[query.seen_rows] = -np.inf
        return scores

    def _features(self, user_id: str) -> UserFeatures:
        """As the features service has them after the log's import."""
        events = self.data.events[self.data.events["user_id"] == user_id]
        events = events.sort_values("timestamp", kind="stable")
        return UserFeatures(
            item_ids=tuple(events["item_id"].astype(str))[-100:],
            kinds=tuple(events["kind"].tolist())[-100:],
            timestamps=tuple(events["timestamp"].tolist())[-100:],
            values=tuple(events["value"].tolist())[-100:],
            region=str(events["region"].iloc[-1]),
            seen_item_ids=tuple(set(events["item_id"].astype(str))),
        )

    def slate(self, user_id: str, now: float) -> list[str]:
        """Ids of the best ten at this moment, for a request that names no time."""
        best = np.argsort(-self.scores(user_id, 0.0, now), kind="stable")[:TOP]
        return [str(self.release.items.ids[row]) for row in best]


def shifted(data: InteractionData, seconds: float) -> InteractionData:
    """The same log, as if all of it had happened so much earlier."""
    events = data.events.assign(timestamp=data.events["timestamp"] - seconds)
    return replace(data, events=events)


@pytest.fixture(scope="module")
def lately(tmp_path_factory: pytest.TempPathFactory) -> Served:
    world = write_world(tmp_path_factory.mktemp("world"), n_users=200, n_items=160, seed=3)
    data = read(world.path)
    return Served(world, data, train(data, CONFIG, tmp_path_factory.mktemp("releases")))


@pytest.fixture(scope="module")
def long_ago(lately: Served, tmp_path_factory: pytest.TempPathFactory) -> Served:
    data = shifted(lately.data, TWENTY_YEARS)
    return Served(lately.world, data, train(data, CONFIG, tmp_path_factory.mktemp("releases")))


def test_the_same_question_at_the_same_distance_has_the_same_answer(
    lately: Served, long_ago: Served
) -> None:
    end = float(lately.data.events["timestamp"].max())
    assert time.gmtime(end - TWENTY_YEARS).tm_year == 2003
    for user_id in lately.world.user_ids[:40]:
        for as_of in (end, end - 20.3 * SECONDS_A_DAY):
            new = lately.scores(user_id, as_of, now=end)
            old = long_ago.scores(user_id, as_of - TWENTY_YEARS, now=end)
            np.testing.assert_allclose(old, new, rtol=1e-4, atol=1e-4)


def taste_share(served: Served, now: float) -> float:
    """Share of slates' items that have the taste planted in their user."""
    users, world = served.world.user_ids[:100], served.world
    shown = [(user, item) for user in users for item in served.slate(user, now)]
    return float(np.mean([world.taste_of(item) == world.favourite(user) for user, item in shown]))


@pytest.mark.parametrize("towers_alone", [False, True])
def test_a_log_that_ended_in_2003_gives_as_personal_answers_now(
    lately: Served, long_ago: Served, towers_alone: bool
) -> None:
    lately = replace(lately, towers_alone=towers_alone)
    long_ago = replace(long_ago, towers_alone=towers_alone)
    end, now = float(lately.data.events["timestamp"].max()), time.time()
    at_its_end, today = taste_share(lately, end), taste_share(lately, now)
    ancient = taste_share(long_ago, now)
    assert at_its_end > 3 / len(lately.world.tastes)  # three times chance
    assert today == pytest.approx(at_its_end, abs=0.03)
    assert ancient == pytest.approx(at_its_end, abs=0.03)


def test_users_of_a_log_that_ended_in_2003_are_not_all_shown_the_same(long_ago: Served) -> None:
    users, world = long_ago.world.user_ids, long_ago.world
    one_of_each = {world.favourite(user): user for user in users}.values()
    slates = {tuple(long_ago.slate(user, time.time())) for user in one_of_each}
    assert len(slates) == len(one_of_each)
