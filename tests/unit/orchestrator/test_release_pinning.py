"""An answer is one release's, also where a replica does not hold the newest one yet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Engine

from bench.random_release import write_random_release
from services.common.erased import ErasedUsers
from services.common.errors import FailedPrecondition
from services.common.releases import ReleaseRegistry
from services.common.slates import SlateLog
from services.common.stored import StoredRecommendations
from services.orchestrator.candidates import Query
from services.orchestrator.pipeline import Found
from services.orchestrator.policy import Policy
from services.orchestrator.reasoner import Reasoner
from services.orchestrator.release_switch import ReleaseSwitch
from services.orchestrator.rules_archive import RulesArchive
from services.orchestrator.rules_file import RulesFile
from services.orchestrator.service import RecommenderServicer
from services.orchestrator.slate_writer import SlateWriter
from tandem.recommender.v1 import recommender_pb2 as pb
from tests.unit.orchestrator.test_pipeline import ListSource, pipeline


@dataclass
class Holding(ListSource):
    """Finds items of the releases that it holds, as a replica of retrieval does."""

    held: tuple[str, ...] = ()

    async def fetch(self, query: Query) -> Found:
        if query.release.release_id not in self.held:
            raise FailedPrecondition("not loaded here yet")
        return await super().fetch(query)


@pytest.fixture
def releases(tmp_path: Path, engine: Engine) -> list[str]:
    """Two, of forty items each."""
    made = [write_random_release(tmp_path / "releases", 40, 8, seed) for seed in (0, 1)]
    for each in made:
        ReleaseRegistry(engine).add(each.release_id, {})
    return [each.release_id for each in made]


@pytest.fixture
def switch(tmp_path: Path, engine: Engine) -> ReleaseSwitch:
    return ReleaseSwitch(ReleaseRegistry(engine), tmp_path / "releases", [], 1.0, 60.0)


async def recommend(
    switch: ReleaseSwitch, engine: Engine, folder: Path, held: tuple[str, ...]
) -> pb.RecommendResponse:
    servicer = RecommenderServicer(
        pipeline(sources=[Holding([1, 2, 3], held=held)]),
        switch,
        StoredRecommendations(engine),
        cast(Any, None),
        cast(Any, None),
        5.0,
        ErasedUsers(engine).among,
        RulesFile(folder / "rules.yaml", RulesArchive(engine)),
        SlateWriter(SlateLog(engine), days=0),
        Reasoner(cast(Any, None)),
        Policy([]),
    )
    return await servicer.Recommend(pb.RecommendRequest(user_id="a", count=3), cast(Any, None))


async def test_where_the_newest_is_not_held_the_one_before_answers_in_full(
    switch: ReleaseSwitch, engine: Engine, releases: list[str], tmp_path: Path
) -> None:
    old, new = releases
    await switch.activate(old)
    await switch.activate(new)
    answer = await recommend(switch, engine, tmp_path, held=(old,))
    assert (answer.release_id, answer.level) == (old, pb.LEVEL_FULL)
    answer = await recommend(switch, engine, tmp_path, held=(old, new))
    assert (answer.release_id, answer.level) == (new, pb.LEVEL_FULL)


async def test_where_none_is_held_the_newest_answers_with_what_is_left(
    switch: ReleaseSwitch, engine: Engine, releases: list[str], tmp_path: Path
) -> None:
    await switch.activate(releases[0])
    answer = await recommend(switch, engine, tmp_path, held=())
    assert (answer.release_id, answer.level) == (releases[0], pb.LEVEL_STORED)
    await switch.activate(releases[1])
    answer = await recommend(switch, engine, tmp_path, held=())
    assert (answer.release_id, answer.level) == (releases[1], pb.LEVEL_STORED)


async def test_a_rollback_serves_what_is_still_in_memory(
    switch: ReleaseSwitch, releases: list[str]
) -> None:
    old, new = releases
    await switch.activate(old)
    first = switch.catalogue()
    await switch.activate(new)
    assert switch.before() is first
    await switch.rollback()
    assert switch.catalogue() is first
