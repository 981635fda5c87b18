"""Served slates reach the log, off the path of requests; what does not is counted."""

import asyncio
import time
from collections.abc import Callable

import numpy as np
from sqlalchemy import Engine, text

from services.common.slates import ShownItem, SlateLog
from services.orchestrator.candidates import PREDICTION, Candidates, Query
from services.orchestrator.pipeline import Level, Record, Slate
from services.orchestrator.slate_writer import LOST, SlateWriter
from tandem.recommender.v1 import recommender_pb2 as pb

MakeQuery = Callable[..., Query]
REQUEST = pb.RecommendRequest(user_id="a", count=2)


def slate(query: Query) -> Slate:
    chosen = Candidates.of_source("ease", np.array([7, 3], np.int32), np.array([9, 8], np.float32))
    chosen = chosen.with_columns({PREDICTION: np.array([0.5, 0.25], np.float32)})
    return Slate(query, chosen, Record(level=Level.NO_SESSION))


def lost() -> float:
    return float(LOST._value.get())


async def test_a_served_slate_is_in_the_log_after_a_flush(query: MakeQuery, engine: Engine) -> None:
    writer, before = SlateWriter(SlateLog(engine), days=30), time.time()
    writer.put(slate(query(request_id="r1")), REQUEST)
    await writer.flush()
    logged = SlateLog(engine).read("r1")
    assert logged is not None
    assert (logged.user_id, logged.level, logged.version) == ("a", "NO_SESSION", 1)
    assert before <= logged.served_at <= time.time()
    assert logged.items == (
        ShownItem("i7", 0, 0.5, 1.0, ("ease",)),
        ShownItem("i3", 1, 0.25, 1.0, ("ease",)),
    )


async def test_closing_writes_what_waits_and_old_slates_go(
    query: MakeQuery, engine: Engine
) -> None:
    log = SlateLog(engine)
    writer = SlateWriter(log, days=1e-9)  # whatever is trimmed is too old
    writer.start()
    writer.put(slate(query(request_id="r1")), REQUEST)
    await writer.close()
    assert log.read("r1") is not None
    writer._trim()
    assert log.read("r1") is None


async def test_what_cannot_wait_or_be_named_is_lost_and_counted(
    query: MakeQuery, engine: Engine
) -> None:
    writer, before = SlateWriter(SlateLog(engine), days=30, most_waiting=2), lost()
    for request_id in ("r1", "r2", "r3", "x" * 129, "a\0b"):
        writer.put(slate(query(request_id=request_id)), REQUEST)
    assert lost() - before == 3
    await writer.flush()
    assert SlateLog(engine).read("r2") is not None
    writer.put(slate(query(request_id="r4")), REQUEST)
    await writer.flush()
    assert SlateLog(engine).read("r4") is not None


async def test_an_outage_loses_slates_and_no_later_ones(query: MakeQuery, engine: Engine) -> None:
    writer, before = SlateWriter(SlateLog(engine), days=30), lost()
    with engine.begin() as db:
        db.execute(text("ALTER TABLE slates RENAME TO gone"))
    writer.put(slate(query(request_id="r1")), REQUEST)
    await writer.flush()
    assert lost() - before == 1
    with engine.begin() as db:
        db.execute(text("ALTER TABLE gone RENAME TO slates"))
    writer.put(slate(query(request_id="r2")), REQUEST)
    await writer.flush()
    assert SlateLog(engine).read("r2") is not None


async def test_a_slate_that_cannot_be_written_does_not_end_the_writer(
    query: MakeQuery, engine: Engine
) -> None:
    writer, before = SlateWriter(SlateLog(engine), days=30), lost()
    broken = Candidates.of_source("ease", np.array([10_000], np.int32), np.array([1], np.float32))
    writer.start()
    writer.put(Slate(query(request_id="r1"), broken, Record()), REQUEST)
    async with asyncio.timeout(30):
        while lost() == before:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        writer.put(slate(query(request_id="r2")), REQUEST)
        while SlateLog(engine).read("r2") is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await writer.close()
    assert lost() - before == 1


async def test_with_no_days_nothing_is_logged(query: MakeQuery, engine: Engine) -> None:
    writer, before = SlateWriter(SlateLog(engine), days=0), lost()
    writer.start()
    writer.put(slate(query(request_id="r1")), REQUEST)
    await writer.close()
    assert SlateLog(engine).read("r1") is None
    assert lost() == before


async def test_putting_a_slate_costs_a_tenth_of_a_millisecond_at_most(
    query: MakeQuery, engine: Engine
) -> None:
    writer, served = SlateWriter(SlateLog(engine), days=30), slate(query())
    started = time.perf_counter()
    for _ in range(2_000):
        writer.put(served, REQUEST)
    assert (time.perf_counter() - started) / 2_000 < 1e-4
