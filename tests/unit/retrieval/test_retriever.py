"""One stage, several sources: parallel, bounded, and none takes the others down."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np
import pytest

from services.common.errors import InvalidArgument, Unavailable
from services.retrieval.merge import Quota
from services.retrieval.query import Query
from services.retrieval.retriever import Retriever
from services.retrieval.vectors import Found
from tests.unit.retrieval.world import World


@dataclass(frozen=True)
class SourceOf:
    """A source that does what it is told."""

    name: str
    act: Callable[[], Awaitable[list[int]]]

    async def fetch(self, query: Query) -> Found:
        rows = await self.act()
        return Found(np.array(rows, dtype=np.int32), -np.arange(len(rows), dtype=np.float32))


def finds(*rows: int, after: float = 0.0) -> Callable[[], Awaitable[list[int]]]:
    async def act() -> list[int]:
        await asyncio.sleep(after)
        return list(rows)

    return act


def raises(error: Exception) -> Callable[[], Awaitable[list[int]]]:
    async def act() -> list[int]:
        raise error

    return act


def retriever(*sources: SourceOf) -> Retriever:
    return Retriever(sources, {source.name: Quota(0.1, 1.0) for source in sources})


async def test_sources_run_at_the_same_time(world: World) -> None:
    stage = retriever(*(SourceOf(f"s{i}", finds(i, after=0.1)) for i in range(5)))
    started = time.monotonic()
    answer = await stage.retrieve(world.query(), stage.select([]))
    assert time.monotonic() - started < 0.4  # one after the other takes 0.5 s
    assert sorted(answer.merged.rows.tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (raises(Unavailable("Milvus at x: down")), "Milvus at x: down"),
        (raises(RuntimeError("a secret detail")), "internal error"),
        (finds(1, after=30), "deadline"),
    ],
)
async def test_a_failing_source_is_reported_and_the_others_answer(
    world: World, failure: Callable[[], Awaitable[list[int]]], said: str
) -> None:
    stage = retriever(SourceOf("bad", failure), SourceOf("good", finds(7, 8)))
    answer = await stage.retrieve(world.query(seconds=0.05), stage.select([]))
    assert answer.merged.rows.tolist() == [7, 8]
    assert [outcome.error for outcome in answer.outcomes] == [said, ""]


async def test_all_sources_failing_is_an_empty_answer(world: World) -> None:
    stage = retriever(SourceOf("bad", raises(Unavailable("down"))))
    answer = await stage.retrieve(world.query(), stage.select([]))
    assert len(answer.merged.rows) == 0


async def test_only_the_sources_asked_for_run(world: World) -> None:
    stage = retriever(SourceOf("a", finds(1)), SourceOf("b", finds(2)))
    answer = await stage.retrieve(world.query(), stage.select(["b"]))
    assert [outcome.name for outcome in answer.outcomes] == ["b"]
    assert answer.merged.rows.tolist() == [2]


def test_an_unknown_source_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="sources: no source 'trending'; one of a"):
        retriever(SourceOf("a", finds(1))).select(["a", "trending"])


@pytest.mark.parametrize(
    "quotas",
    [{}, {"a": Quota(0.5, 1), "b": Quota(0.1, 1)}],
    ids=["a source without", "one without a source"],
)
def test_quotas_that_do_not_fit_the_sources_are_refused(quotas: dict[str, Quota]) -> None:
    with pytest.raises(ValueError, match="quotas"):
        Retriever([SourceOf("a", finds(1))], quotas)


def test_shares_beyond_the_whole_are_refused() -> None:
    sources = [SourceOf("a", finds(1)), SourceOf("b", finds(2))]
    with pytest.raises(ValueError, match="shares sum to more than 1"):
        Retriever(sources, {"a": Quota(0.6, 1), "b": Quota(0.5, 1)})
