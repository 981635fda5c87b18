"""The ranking servicer: decodes, scores, encodes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.events import EventKind
from models.history import UserHistory
from services.common.errors import InvalidArgument
from services.common.model_input import decode_user
from services.common.release_cache import PATIENCE_SECONDS, ReleaseCache
from services.ranking.live import LiveScorers
from services.ranking.scoring import LoadedRelease
from tandem.model.v1 import model_pb2
from tandem.ranking.v1 import ranking_pb2, ranking_pb2_grpc

_KINDS = frozenset(int(kind) for kind in EventKind)

T = TypeVar("T")


class RankingServicer(ranking_pb2_grpc.RankingServiceServicer):
    """Serves `tandem.ranking.v1.RankingService`, on Ray Serve or on any other gRPC server."""

    def __init__(
        self, releases: ReleaseCache[LoadedRelease], live: LiveScorers | None = None
    ) -> None:
        self._releases = releases
        self._live = live
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="scorer")

    async def Rank(
        self, request: ranking_pb2.RankRequest, context: object
    ) -> ranking_pb2.RankResponse:
        rows = np.array(request.item_rows, dtype=np.int64)
        release = await self._release(request.release_id, rows)
        scored = await self._in_thread(release.score, _user(request.user), rows)
        parts = scored.parts.items() if request.explain else ()
        return ranking_pb2.RankResponse(
            release_id=release.release_id,
            scores=scored.scores.tolist(),
            predictions=scored.predictions.tolist(),
            parts=[
                ranking_pb2.ScorePart(name=name, scores=scores.tolist()) for name, scores in parts
            ],
        )

    async def Attribute(
        self, request: ranking_pb2.AttributeRequest, context: object
    ) -> ranking_pb2.AttributeResponse:
        rows = np.array(request.item_rows, dtype=np.int64)
        release = await self._release(request.release_id, rows)
        found = await self._in_thread(release.attribute, _user(request.user), rows)
        named = found.causes >= 0
        return ranking_pb2.AttributeResponse(
            release_id=release.release_id,
            cause_counts=named.sum(axis=1).tolist(),
            cause_rows=found.causes[named].tolist(),
            drops=found.drops[named].tolist(),
        )

    async def PrepareRelease(
        self, request: ranking_pb2.PrepareReleaseRequest, context: object
    ) -> ranking_pb2.PrepareReleaseResponse:
        release = await self.prepare(request.release_id)
        return ranking_pb2.PrepareReleaseResponse(items=release.n_items)

    async def prepare(self, release_id: str) -> LoadedRelease:
        """Loads a release, and extends it by what live items there are."""
        release = await self._releases.get(release_id)
        if self._live is not None:
            await self._live.up_to_date(release)
        return release

    async def _release(self, release_id: str, rows: NDArray[np.int64]) -> LoadedRelease:
        """The release, with live items if rows are of some."""
        release = await self._releases.get(release_id, PATIENCE_SECONDS)
        return release if self._live is None else await self._live.extended(release, rows)

    async def _in_thread(
        self,
        work: Callable[[UserHistory, NDArray[np.int64]], T],
        user: UserHistory,
        rows: NDArray[np.int64],
    ) -> T:
        """In a thread, so that the calls that wait are counted: Ray Serve scales and sheds by
        them."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, work, user, rows)


def _user(message: model_pb2.UserInput) -> UserHistory:
    unknown = set(message.history_kinds) - _KINDS
    if unknown:
        raise InvalidArgument("user.history_kinds", f"no event kind {min(unknown)}")
    try:
        return decode_user(message)
    except ValueError as error:
        raise InvalidArgument("user", str(error)) from error
