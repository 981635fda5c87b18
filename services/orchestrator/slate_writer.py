"""Served slates into the slate log, off the path of requests."""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from models.popularity import SECONDS_A_DAY
from services.common.slates import ServedSlate, ShownItem, SlateLog
from services.orchestrator.candidates import PREDICTION, PROPENSITY
from services.orchestrator.pipeline import Slate
from services.orchestrator.slate_detail import encode_served
from tandem.recommender.v1 import recommender_pb2 as pb

LOST = Counter("tandem_orchestrator_slates_lost", "Served slates that were not logged.")

_MOST_WAITING = 2_000
_WRITE_SECONDS = 0.5
_TRIM_SECONDS = 3_600.0
_LONGEST_ID = 128

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An answer; becomes rows in the writer's thread."""

    slate: Slate
    request: pb.RecommendRequest
    served_at: float


class SlateWriter:
    """Writes slates every half second, in one transaction; loses and counts what it cannot.

    Args:
        slates: the log.
        days: how long slates are kept; 0 logs none.
        detail_days: how long what they were made from is kept; 0 keeps none of it.
        most_waiting: slates that wait for the writer, above which more are lost.
    """

    def __init__(
        self,
        slates: SlateLog,
        days: float,
        detail_days: float = 0.0,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._slates = slates
        self._days = days
        self._detail_days = detail_days
        self._most_waiting = most_waiting
        self._waiting: deque[_Waiting] = deque()
        self._in_hand: list[_Waiting] = []
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._trim_at = 0.0

    def start(self) -> None:
        """Begins to write; needs the running event loop."""
        if self._days:
            self._task = asyncio.create_task(self._run())

    def put(self, slate: Slate, request: pb.RecommendRequest) -> None:
        """Takes a slate that was just answered. Never waits, never fails."""
        if not self._days:
            return
        if len(self._waiting) >= self._most_waiting or not _can_be_a_key(slate.query.request_id):
            LOST.inc()
            return
        self._waiting.append(_Waiting(slate, request, time.time()))

    def waiting_for(self, user_id: str) -> dict[str, list[str]]:
        """Item ids of a user's slates that are not in the log yet, by request id."""
        return {
            each.slate.query.request_id: [
                str(item) for item in each.slate.query.catalogue.items.ids[each.slate.chosen.rows]
            ]
            for each in (*self._in_hand, *self._waiting)
            if each.slate.query.user_id == user_id
        }

    async def flush(self) -> None:
        """Writes what waits now."""
        async with self._writing:
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if not waiting:
                return
            self._in_hand = waiting
            try:
                await asyncio.to_thread(self._write, waiting)
            except SQLAlchemyError as error:
                LOST.inc(len(waiting))
                log.warning("slates lost", extra={"slates": len(waiting), "reason": _brief(error)})
            except Exception:  # a task that ended would lose all that come later, too
                LOST.inc(len(waiting))
                log.exception("slates lost", extra={"slates": len(waiting)})
            finally:
                self._in_hand = []

    async def close(self) -> None:
        """Writes what waits, and stops."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            await asyncio.shield(self.flush())
            if time.monotonic() >= self._trim_at:
                self._trim_at = time.monotonic() + _TRIM_SECONDS
                await asyncio.to_thread(self._trim)

    def _write(self, waiting: list[_Waiting]) -> None:
        self._slates.write([_row(each, detailed=self._detail_days > 0) for each in waiting])

    def _trim(self) -> None:
        try:
            now = time.time()
            self._slates.trim(
                now - self._days * SECONDS_A_DAY, now - self._detail_days * SECONDS_A_DAY
            )
        except SQLAlchemyError as error:
            log.warning("slate log not trimmed", extra={"reason": _brief(error)})
        except Exception:
            log.exception("slate log not trimmed")


def _row(waiting: _Waiting, detailed: bool) -> ServedSlate:
    slate, query, chosen = waiting.slate, waiting.slate.query, waiting.slate.chosen
    scores = chosen.columns.get(PREDICTION, chosen.scores).tolist()
    propensities = chosen.columns.get(PROPENSITY, np.ones(len(chosen))).tolist()
    return ServedSlate(
        query.request_id,
        query.user_id,
        query.release.release_id,
        waiting.served_at,
        slate.record.level.name,
        tuple(
            ShownItem(
                query.catalogue.items.ids[row],
                position,
                scores[position],
                propensities[position],
                tuple(chosen.sources_of(position)),
            )
            for position, row in enumerate(chosen.rows.tolist())
        ),
        encode_served(slate, waiting.request) if detailed else None,
    )


def _can_be_a_key(request_id: str) -> bool:
    """Whether an event could name it: see `services.features.events`."""
    return 0 < len(request_id) <= _LONGEST_ID and request_id.isprintable()


def _brief(error: Exception) -> str:
    return str(error).partition("\n")[0]
