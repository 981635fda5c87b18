"""What is logged of a request is enough to make its slate again, whatever it was made from."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from sqlalchemy import Engine

from models.release import Release, ReleaseError
from services.common.database import open_database
from services.common.deadlines import Budget
from services.common.errors import FailedPrecondition, InvalidArgument, NotFound
from services.common.slates import SlateLog
from services.orchestrator.budgets import Unlimited
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.encoding import (
    encode_logged,
    encode_replayed,
    encode_trace,
    encode_tried,
)
from services.orchestrator.exploration import NewItemExplorer
from services.orchestrator.pipeline import Pipeline, Slate
from services.orchestrator.promotions import PromotionSource, SlotPromoter
from services.orchestrator.replay import Parts, SlateReplayer
from services.orchestrator.requests import decode_recommend
from services.orchestrator.rules_archive import RulesArchive
from services.orchestrator.rules_yaml import ActiveRules
from services.orchestrator.scorers import BoostScorer
from services.orchestrator.selectors import SlateComposer
from services.orchestrator.server import standard_filters
from services.orchestrator.slate_writer import SlateWriter
from services.orchestrator.sources import PopularSource
from tandem.recommender.v1 import recommender_pb2 as pb
from tests.unit.orchestrator.test_pipeline import ListSource, RowScorer, SeenHydrator
from tests.unit.orchestrator.test_slate_properties import (
    QUICK,
    Asked,
    catalogue,
    requests,
)

__all__ = ["catalogue"]

_numbers = count()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('log') / 'tandem.db'}")
    yield engine
    engine.dispose()


def parts(found: list[int], down: frozenset[str] = frozenset()) -> Parts:
    return Parts(
        source=ListSource(found, fails="retrieval" in down),
        fallbacks=[PopularSource()],
        filters=standard_filters(),
        scorers=[RowScorer(fails="ranking" in down), BoostScorer()],
        scorers_of_rules=[BoostScorer()],
        selector=SlateComposer(),
        explorer=NewItemExplorer(0.5, 7.0),
        max_candidates=20,
    )


def replayer(engine: Engine, catalogue: Catalogue, made_of: Parts) -> SlateReplayer:
    def load(release_id: str) -> Release:
        raise ReleaseError(f"no release {release_id}")

    async def prepare(release_id: str) -> None:
        pass

    return SlateReplayer(
        SlateLog(engine), RulesArchive(engine), made_of, lambda: catalogue, load, prepare
    )


async def serve(
    engine: Engine,
    catalogue: Catalogue,
    made_of: Parts,
    rules: str,
    request: pb.RecommendRequest,
    **hydrated: Any,
) -> Slate:
    """Answers a request as the orchestrator does, and logs it."""
    active = ActiveRules.of(rules)
    RulesArchive(engine).put(active.digest, active.text)
    query = decode_recommend(request, f"r{next(_numbers)}", catalogue, Budget.of(5), active)
    seen = hydrated.pop("seen", [])
    pipeline = Pipeline(
        query_hydrators=[SeenHydrator(seen, fails=hydrated.pop("features_down", False))],
        sources=[made_of.source, PromotionSource()],
        fallbacks=made_of.fallbacks,
        filters=made_of.filters,
        scorers=made_of.scorers,
        selector=made_of.selector,
        max_candidates=made_of.max_candidates,
        promoter=SlotPromoter(Unlimited()),
        explorer=made_of.explorer,
    )
    slate = await pipeline.run(replace(query, **hydrated))
    writer = SlateWriter(SlateLog(engine), days=30, detail_days=1)
    writer.put(slate, request)
    await writer.flush()
    return slate


@settings(max_examples=80, deadline=None, phases=QUICK)
@given(asked=requests())
def test_any_slate_comes_out_the_same_again(
    catalogue: Catalogue, engine: Engine, asked: Asked
) -> None:
    request = pb.RecommendRequest(user_id="u", count=asked.query.count)
    request.context.age = asked.query.age
    request.exclude_item_ids.extend(f"i{row}" for row in asked.query.excluded_rows)
    made_of = parts(asked.found, frozenset(asked.down))
    text = yaml.safe_dump(asked.rules.model_dump(mode="json", exclude_defaults=True))

    async def both() -> None:
        served = await serve(
            engine,
            catalogue,
            made_of,
            text,
            request,
            seen=asked.seen,
            features_down="features" in asked.down,
            shown=asked.query.shown,
            time=asked.query.time,
        )
        logged, again = await replayer(engine, catalogue, made_of).replay(
            served.query.request_id, "", None
        )
        assert again.chosen.rows.tolist() == served.chosen.rows.tolist()
        assert encode_replayed(logged, again).identical
        explained = encode_logged(logged, logged.slate, []).response
        first = encode_trace(served.query, served.record, served.chosen)
        assert list(explained.trace.candidates) == list(first.candidates)
        assert [item.label for item in explained.items] == served.chosen.columns["label"].tolist()

    asyncio.run(both())


async def test_other_rules_make_another_slate_and_change_nothing(
    catalogue: Catalogue, engine: Engine
) -> None:
    request = pb.RecommendRequest(user_id="u", count=5)
    made_of = parts(list(range(20)))
    served = await serve(engine, catalogue, made_of, "diversity: {method: none}", request)
    best = str(catalogue.items.ids[served.chosen.rows[0]])
    made = replayer(engine, catalogue, made_of)
    without = f"{{block: {{items: [{best}]}}, diversity: {{method: none}}}}"
    logged, again = await made.replay(served.query.request_id, "", without)
    answer = encode_replayed(logged, again)
    assert not answer.identical
    assert best not in [item.item_id for item in answer.items]
    assert answer.original[0].item_id == best
    tried = encode_tried(await made.try_rules(without, 1))
    assert (tried.requests, tried.changed_users) == (1, 1)
    assert list(tried.changed[0].leaving) == [best]
    same = encode_tried(await made.try_rules("diversity: {method: none}", 1))
    assert (same.requests, same.changed_users, same.kept_share) == (1, 0, 1.0)


async def test_what_cannot_be_replayed_says_why(
    catalogue: Catalogue, engine: Engine, tmp_path: Path
) -> None:
    made_of = parts(list(range(20)))
    request = pb.RecommendRequest(user_id="u", count=5)
    served = await serve(engine, catalogue, made_of, "", request)
    made, request_id = replayer(engine, catalogue, made_of), served.query.request_id
    with pytest.raises(NotFound, match="not in the slate log"):
        await made.read("unknown")
    with pytest.raises(FailedPrecondition, match="no release gone"):
        await made.replay(request_id, "gone", None)
    with pytest.raises(InvalidArgument, match="rules:1"):
        await made.replay(request_id, "", "caps: 3")
    with pytest.raises(InvalidArgument, match="requests"):
        await made.try_rules("", 10_001)
    SlateLog(engine).trim(before=0.0, details_before=1e12)
    with pytest.raises(NotFound, match="only the slate"):
        await made.read(request_id)
