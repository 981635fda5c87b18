"""The gRPC servicer of retrieval: decode, call, encode."""

from typing import Any

from grpc import aio

from services.common.collected import Settled
from services.common.deadlines import Budget
from services.common.errors import NotFound
from services.common.release_cache import PATIENCE_SECONDS, ReleaseCache
from services.retrieval.live import LiveVectors
from services.retrieval.loaded import LoadedRelease
from services.retrieval.messages import (
    MOST_CANDIDATES,
    MOST_NEIGHBOURS,
    check_count,
    decode_query,
    encode_retrieved,
    largest_row,
)
from services.retrieval.retriever import Retriever
from services.retrieval.settings import RetrievalSettings
from services.retrieval.similar import check_comparison, similar_items
from services.retrieval.vectors import VectorIndex
from tandem.retrieval.v1 import retrieval_pb2 as pb
from tandem.retrieval.v1 import retrieval_pb2_grpc

Context = aio.ServicerContext[Any, Any]


class RetrievalServicer(retrieval_pb2_grpc.RetrievalServiceServicer):
    """See protos/tandem/retrieval/v1/retrieval.proto."""

    def __init__(
        self,
        releases: ReleaseCache[LoadedRelease],
        index: VectorIndex,
        retriever: Retriever,
        settings: RetrievalSettings,
        live: LiveVectors,
        settled: Settled,
    ) -> None:
        self._releases = releases
        self._index = index
        self._retriever = retriever
        self._settings = settings
        self._live = live
        self._settled = settled

    async def Retrieve(self, request: pb.RetrieveRequest, context: Context) -> pb.RetrieveResponse:
        check_count(request.count, MOST_CANDIDATES)
        sources = self._retriever.select(request.sources)
        loaded = await self._releases.get(request.release_id, PATIENCE_SECONDS)
        new = await self._live.of(loaded, largest_row(request))
        query = decode_query(request, loaded, self._source_seconds(), new)
        return encode_retrieved(request.release_id, await self._retriever.retrieve(query, sources))

    async def SimilarItems(
        self, request: pb.SimilarItemsRequest, context: Context
    ) -> pb.SimilarItemsResponse:
        check_count(request.count, MOST_NEIGHBOURS)
        release = (await self._releases.get(request.release_id)).release
        held = check_comparison(release, request.method, request.missing)
        row = release.items.row_of.get(request.item_id)
        if row is None:
            raise NotFound(f"item_id: release {request.release_id} holds no {request.item_id!r}")
        found = similar_items(release, row, request.count)
        return pb.SimilarItemsResponse(
            item_rows=found.rows.tolist(),
            scores=found.scores.tolist(),
            method=held.method,
            missing=held.missing,
        )

    async def PrepareRelease(
        self, request: pb.PrepareReleaseRequest, context: Context
    ) -> pb.PrepareReleaseResponse:
        await self._settled(request.release_id)
        loaded = await self._releases.get(request.release_id)
        items = await self._index.prepare(loaded.release_id, loaded.tables)
        await self._live.up_to_date(loaded)
        return pb.PrepareReleaseResponse(items=items)

    def _source_seconds(self) -> float:
        budget = Budget.current(self._settings.default_deadline_seconds)
        return budget.share(
            self._settings.source_budget_share, at_most=self._settings.source_timeout_seconds
        )
