"""A state folder with logged requests: what serves runs in one process."""

import asyncio
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from bench.random_release import write_random_release
from models.events import EventKind
from models.final_score import FinalScorer, release_scorer
from models.friends import friends_items
from models.release import USER_FACTORS, USERS, Release
from services.common.database import open_database
from services.common.deadlines import Budget
from services.common.slates import SlateLog
from services.features.event_log import EventLog
from services.features.events import Event
from services.features.sessions import Session
from services.features.trend_counting import TrendCounting
from services.features.user_table import User, UserTable
from services.orchestrator.candidates import Candidates, Query
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.clients import UserFeatures, WeightedItems
from services.orchestrator.hydrators import UserHydrator
from services.orchestrator.pipeline import Level, Pipeline, Scored
from services.orchestrator.requests import decode_recommend
from services.orchestrator.rules_archive import RulesArchive
from services.orchestrator.rules_yaml import ActiveRules
from services.orchestrator.selectors import SlateComposer
from services.orchestrator.server import standard_filters
from services.orchestrator.slate_detail import decode_served
from services.orchestrator.slate_writer import SlateWriter
from services.orchestrator.sources import PopularSource
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.slate.v1 import slate_pb2
from tests.unit.orchestrator.test_pipeline import ListSource
from training.skew.findings import Parity
from training.skew.parity import parity

Message = slate_pb2.ServedRequest

N_ITEMS = 60
NO_RULES = ActiveRules.of("")
REGIONS = ("north", "south", "")

_numbers = count()


@dataclass
class Features:
    """The features service in one process: its log, sessions, friends and trend."""

    engine: Engine
    release: Release

    def __post_init__(self) -> None:
        self.log = EventLog(self.engine)
        self.trend = TrendCounting(self.engine, 1_000)
        self.trend.load()

    async def user_features(
        self, user_id: str, _release: str, as_of: float, _timeout: float, **asked: Any
    ) -> UserFeatures:
        events, more = self.trend.read()
        while events or more:
            self.trend.count(events)
            events, more = self.trend.read()
        session = Session.of(self.log.history(user_id, 100, as_of or None))
        standing = self.log.standing(user_id)
        home, friends = (standing.user.region, standing.user.friends) if standing.user else ("", ())
        region, row = session.region or home, self.release.user_rows.get(user_id)
        days, here = asked["trend_half_life_days"], asked["region"] or region
        liked = friends_items(self.log.friends_events(friends, as_of or None))
        everywhere = self.trend.top(days, 200, "")
        there = self.trend.top(days, 200, here) if here else replace(everywhere, items=[])
        return UserFeatures(
            item_ids=tuple(session.item_ids),
            kinds=tuple(session.kinds),
            timestamps=tuple(session.timestamps),
            values=tuple(session.values),
            region=region,
            seen_item_ids=tuple(self.log.seen(user_id)),
            factors=None if row is None else self.release.user_factors[row],
            version=standing.version,
            friends_items=WeightedItems(tuple(liked[0]), liked[1]),
            trend=WeightedItems(tuple(everywhere.items), everywhere.shares),
            trend_here=WeightedItems(tuple(there.items), there.shares[: len(there.items)]),
        )


@dataclass
class Ranking:
    """The ranking service in one process."""

    scorer: FinalScorer
    level_when_lost: Level = Level.UNRANKED

    async def score(self, query: Query, candidates: Candidates) -> Scored:
        assert query.user is not None
        return Scored(self.scorer.score(query.user, candidates.rows))


@dataclass
class World:
    """A state folder with a release, and what serves from it."""

    state: Path
    engine: Engine
    release: Release
    features: Features
    serve: Callable[[pb.RecommendRequest], None]

    def record(self, user_id: str, row: int, kind: EventKind = EventKind.CLICK) -> None:
        number = next(_numbers)
        stars = 4.0 if kind is EventKind.RATING else 0.0
        self.features.log.append(
            [
                Event(
                    *(f"e{number}", user_id, f"item-{row}", int(kind), stars),
                    timestamp=time.time() - number % 7 * 3_000.0,
                    region=REGIONS[number % 3],
                )
            ]
        )

    @property
    def database_url(self) -> str:
        return self.engine.url.render_as_string()

    @property
    def releases(self) -> Path:
        return self.release.path.parent

    def parity(self, requests: int = 1_000) -> Parity:
        return parity(self.engine, self.releases, requests)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # This trend is never behind, and these tests last less than one may be.
    monkeypatch.setattr("training.skew.trends.TREND_LAG_SECONDS", 0.0)
    release = _release(tmp_path / "releases")
    engine = open_database(f"sqlite:///{tmp_path / 'tandem.db'}")
    RulesArchive(engine).put(NO_RULES.digest, NO_RULES.text)
    UserTable(engine).upsert([User("u0", "north", ("u1", "u2")), User("u1", "south", ("u0",))])
    features = Features(engine, release)
    pipeline = Pipeline(
        query_hydrators=[UserHydrator(features, 100)],  # type: ignore[arg-type]
        sources=[ListSource(list(range(40)))],
        fallbacks=[PopularSource()],
        filters=standard_filters(),
        scorers=[Ranking(release_scorer(release))],
        selector=SlateComposer(),
        max_candidates=100,
    )
    catalogue = Catalogue.of(release)

    async def answer(request: pb.RecommendRequest) -> None:
        query = decode_recommend(request, f"r{next(_numbers)}", catalogue, Budget.of(5), NO_RULES)
        writer = SlateWriter(SlateLog(engine), days=30, detail_days=1)
        writer.put(await pipeline.run(query), request)
        await writer.flush()

    def serve(request: pb.RecommendRequest) -> None:
        asyncio.run(answer(request))

    yield World(tmp_path, engine, release, features, serve)
    engine.dispose()


def _release(root: Path) -> Release:
    """A random one, with users and a trend."""
    release = write_random_release(root, N_ITEMS, dimensions=8, seed=1)
    users = {"user_id": ["u0", "u3"], "region": ["west", ""], "friends": [["u3"], []]}
    pd.DataFrame(users).to_parquet(release.path / USERS)
    factors = np.random.default_rng(0).standard_normal((2, 20)).astype(np.float32)
    np.save(release.path / USER_FACTORS, factors)
    manifest = release.path / "release.json"
    raw = json.loads(manifest.read_text())
    raw["config"]["trend_half_life_days"], raw["cut_off"] = 2.0, time.time() + 60
    for name in (USERS, USER_FACTORS):
        raw["sha256"][name] = hashlib.sha256((release.path / name).read_bytes()).hexdigest()
    manifest.write_text(json.dumps(raw))
    return Release(release.path)


def busy(world: World, requests: int) -> None:
    """Serves requests of all sorts, with events before, between and after them."""
    rng = np.random.default_rng(2)
    for number in range(requests):
        for _ in range(3):
            kind = list(EventKind)[int(rng.integers(len(EventKind)))]
            world.record(f"u{rng.integers(5)}", int(rng.integers(N_ITEMS + 5)), kind)
        request = pb.RecommendRequest(user_id=f"u{number % 6}", count=5)
        if number % 3 == 0:
            request.context.device = "tv"
            request.context.region = "south"
        if number % 4 == 0:
            own = request.recent_events.add(item_id="item-7", kind=int(EventKind.LIKE))
            if number % 8 == 0:
                own.timestamp.FromNanoseconds(int((time.time() - 5_000) * 1e9))
        if number % 5 == 0:
            request.context.time.FromNanoseconds(int((time.time() - 2_000) * 1e9))
        world.serve(request)


def hours(message: Message) -> None:
    ages = [age / 3600 for age in message.user.history_ages]
    message.user.history_ages[:] = ages


def alter(world: World, plant: Callable[[Message], None]) -> None:
    """Logs every request once more as if serving had been wrong, and forgets the true ones."""
    slates = SlateLog(world.engine)
    rows = slates.last(1_000)
    slates.trim(before=1e12, details_before=1e12)
    for row in rows:
        assert row.detail is not None
        message = decode_served(row.detail).message
        plant(message)
        detail = zlib.compress(message.SerializeToString())
        slates.write([replace(row, detail=detail)])
