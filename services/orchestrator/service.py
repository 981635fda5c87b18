"""The servicer that applications call: decode, call, encode."""

import asyncio
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from grpc import aio

from services.common.deadlines import Budget
from services.common.errors import InvalidArgument
from services.common.stored import StoredRecommendations
from services.common.telemetry import request_id
from services.features.events import MAX_EVENTS
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.clients import FeaturesClient, RetrievalClient
from services.orchestrator.encoding import encode_level, encode_slate
from services.orchestrator.metrics import ANSWERS, count_slate
from services.orchestrator.pipeline import Level, Pipeline, Slate
from services.orchestrator.policy import Policy
from services.orchestrator.reasoner import Reasoner
from services.orchestrator.release_switch import ReleaseSwitch
from services.orchestrator.requests import MAX_COUNT, check_count, check_id, decode_recommend
from services.orchestrator.rules_file import RulesFile
from services.orchestrator.similar_users import METHOD, Erased, check_method, similar_users
from services.orchestrator.slate_writer import SlateWriter
from services.orchestrator.stored_slate import stored_slate
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc

Context: TypeAlias = "aio.ServicerContext[Any, Any]"


class RecommenderServicer(recommender_pb2_grpc.RecommenderServiceServicer):
    def __init__(
        self,
        pipeline: Pipeline,
        switch: ReleaseSwitch,
        stored: StoredRecommendations,
        features: FeaturesClient,
        retrieval: RetrievalClient,
        default_deadline: float,
        erased: Erased,
        rules: RulesFile,
        slates: SlateWriter,
        reasoner: Reasoner,
        policy: Policy,
    ) -> None:
        self._pipeline = pipeline
        self._rules = rules
        self._slates = slates
        self._reasoner = reasoner
        self._policy = policy
        self._switch = switch
        self._stored = stored
        self._features = features
        self._retrieval = retrieval
        self._default_deadline = default_deadline
        self._erased = erased

    async def Recommend(
        self, request: pb.RecommendRequest, context: Context
    ) -> pb.RecommendResponse:
        budget = Budget.current(self._default_deadline)
        slate = await self._slate(request, self._switch.catalogue(), budget)
        before = self._switch.before()
        if slate.record.unheld and before is not None:
            # A replica that started since, say: one release is the answer's, from its first hop on.
            again = await self._slate(request, before, budget)
            slate = again if again.record.level < slate.record.level else slate
        self._slates.put(slate, request)
        count_slate(slate)
        facts = await self._reasoner.facts(slate, budget, causes=request.explain)
        return encode_slate(slate, request.explain, facts)

    async def _slate(
        self, request: pb.RecommendRequest, catalogue: Catalogue, budget: Budget
    ) -> Slate:
        """The slate of a request, by one release."""
        rules = self._rules.current()
        return await self._pipeline.run(
            decode_recommend(request, request_id.get(), catalogue, budget, rules)
        )

    async def RecommendStored(
        self, request: pb.RecommendStoredRequest, context: Context
    ) -> pb.RecommendStoredResponse:
        user_id, count = check_id("user_id", request.user_id), check_count(request.count)
        catalogue = self._switch.catalogue()
        permits = partial(self._policy.permits, catalogue, self._rules.current())
        level, items = await asyncio.to_thread(
            stored_slate, self._stored, catalogue, user_id, count, permits
        )
        ANSWERS.labels("RecommendStored", level.name).inc()
        source = "stored" if level is Level.STORED else "popular"
        return pb.RecommendStoredResponse(
            items=[
                pb.RecommendedItem(
                    item_id=i.item_id,
                    score=i.score,
                    title=i.title,
                    sources=[source],
                    propensity=1.0,
                )
                for i in items
            ],
            release_id=catalogue.release.release_id,
            level=encode_level(level),
        )

    async def SimilarItems(
        self, request: pb.SimilarItemsRequest, context: Context
    ) -> pb.SimilarItemsResponse:
        item_id, count = check_id("item_id", request.item_id), check_count(request.count)
        catalogue = self._switch.catalogue()
        items, release = catalogue.items, catalogue.release
        timeout = Budget.current(self._default_deadline).share(0.9)
        rows = np.arange(len(items), dtype=np.int32)
        permitted = self._policy.permits(catalogue, self._rules.current(), rows)
        hidden = int(len(items) - np.count_nonzero(permitted))
        found = await self._retrieval.similar_items(
            release.release_id,
            item_id,
            min(count + hidden, MAX_COUNT),
            request.method,
            request.missing,
            timeout,
        )
        shown = np.flatnonzero(permitted[found.rows])[:count]
        ids, titles = items.ids[found.rows[shown]], items.titles[found.rows[shown]]
        return pb.SimilarItemsResponse(
            items=[
                pb.SimilarItem(item_id=item_id, score=score, title=title)
                for item_id, score, title in zip(
                    ids, found.scores[shown].tolist(), titles, strict=True
                )
            ],
            release_id=release.release_id,
            method=found.method,
            missing=found.missing,
        )

    async def SimilarUsers(
        self, request: pb.SimilarUsersRequest, context: Context
    ) -> pb.SimilarUsersResponse:
        user_id, count = check_id("user_id", request.user_id), check_count(request.count)
        check_method(request.method, request.missing)
        release = self._switch.current()
        found = await asyncio.to_thread(similar_users, release, user_id, count, self._erased)
        return pb.SimilarUsersResponse(
            users=[pb.SimilarUser(user_id=user, score=score) for user, score in found],
            release_id=release.release_id,
            method=METHOD,
        )

    async def RecordEvents(
        self, request: pb.RecordEventsRequest, context: Context
    ) -> pb.RecordEventsResponse:
        if not 1 <= len(request.events) <= MAX_EVENTS:
            raise InvalidArgument(
                "events", f"must hold 1 to {MAX_EVENTS}, is {len(request.events)}"
            )
        timeout = Budget.current(self._default_deadline).share(0.95)
        stored = await self._features.record_events(request.events, timeout)
        return pb.RecordEventsResponse(
            accepted=stored.accepted, duplicates=stored.duplicates, errors=stored.errors
        )
