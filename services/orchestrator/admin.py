"""The servicer that operators call: decode, call, encode."""

import asyncio
from collections.abc import Callable, Set
from typing import Any, TypeAlias

from grpc import aio

from services.common.deadlines import Budget
from services.common.erased import user_hash
from services.common.live_view import LiveItems
from services.orchestrator.clients import FeaturesClient
from services.orchestrator.encoding import (
    encode_logged,
    encode_release,
    encode_replayed,
    encode_tried,
)
from services.orchestrator.reasoner import Reasoner
from services.orchestrator.release_switch import ReleaseSwitch
from services.orchestrator.replay import SlateReplayer
from services.orchestrator.requests import check_id
from services.orchestrator.rules_file import RulesFile
from services.orchestrator.unknown_names import unknown_names
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc

Context: TypeAlias = "aio.ServicerContext[Any, Any]"


class AdminServicer(recommender_pb2_grpc.AdminServiceServicer):
    """Implements `tandem.recommender.v1.AdminService`.

    Args:
        switch: which release serves.
        features: keeps users and items.
        live: this process's view of live items.
        forget: drops what this process remembers of users, by the hashes of their ids.
        rules: what slates are made by.
        replayer: reads served slates, and makes them again.
        reasoner: knows why items are in slates.
        default_deadline: seconds a call without a deadline may take.
    """

    def __init__(
        self,
        switch: ReleaseSwitch,
        features: FeaturesClient,
        live: LiveItems,
        forget: Callable[[Set[str]], None],
        rules: RulesFile,
        replayer: SlateReplayer,
        reasoner: Reasoner,
        default_deadline: float,
    ) -> None:
        self._switch = switch
        self._features = features
        self._live = live
        self._forget = forget
        self._rules = rules
        self._replayer = replayer
        self._reasoner = reasoner
        self._default_deadline = default_deadline

    async def UpsertItems(
        self, request: pb.UpsertItemsRequest, context: Context
    ) -> pb.UpsertItemsResponse:
        timeout = Budget.current(self._default_deadline).share(0.9)
        stored = await self._features.upsert_items(request.items, timeout)
        # Others poll for changes; here they count from the next request on.
        await asyncio.to_thread(self._live.refresh)
        await self._switch.lay_over()
        return pb.UpsertItemsResponse(accepted=stored.accepted, errors=stored.errors)

    async def UpsertUsers(
        self, request: pb.UpsertUsersRequest, context: Context
    ) -> pb.UpsertUsersResponse:
        timeout = Budget.current(self._default_deadline).share(0.95)
        stored = await self._features.upsert_users(request.users, timeout)
        return pb.UpsertUsersResponse(accepted=stored.accepted, errors=stored.errors)

    async def DeleteUser(
        self, request: pb.DeleteUserRequest, context: Context
    ) -> pb.DeleteUserResponse:
        user_id = check_id("user_id", request.user_id)
        timeout = Budget.current(self._default_deadline).share(0.95)
        gone = await self._features.delete_user(user_id, timeout)
        self._forget({user_hash(user_id)})
        return pb.DeleteUserResponse(
            events=gone.events, stored_lists=gone.stored_lists, slates=gone.slates
        )

    async def ListReleases(
        self, request: pb.ListReleasesRequest, context: Context
    ) -> pb.ListReleasesResponse:
        records = await self._switch.releases()
        return pb.ListReleasesResponse(releases=[encode_release(record) for record in records])

    async def ActivateRelease(
        self, request: pb.ActivateReleaseRequest, context: Context
    ) -> pb.ActivateReleaseResponse:
        record = await self._switch.activate(check_id("release_id", request.release_id))
        return pb.ActivateReleaseResponse(release=encode_release(record))

    async def RollbackRelease(
        self, request: pb.RollbackReleaseRequest, context: Context
    ) -> pb.RollbackReleaseResponse:
        return pb.RollbackReleaseResponse(release=encode_release(await self._switch.rollback()))

    async def GetRules(self, request: pb.GetRulesRequest, context: Context) -> pb.GetRulesResponse:
        active = self._rules.current()
        warnings = unknown_names(active.rules, self._switch.catalogue())
        return pb.GetRulesResponse(rules=active.text, digest=active.digest, warnings=warnings)

    async def SetRules(self, request: pb.SetRulesRequest, context: Context) -> pb.SetRulesResponse:
        active = await self._rules.set(request.rules)
        warnings = unknown_names(active.rules, self._switch.catalogue())
        return pb.SetRulesResponse(digest=active.digest, warnings=warnings)

    async def TryRules(self, request: pb.TryRulesRequest, context: Context) -> pb.TryRulesResponse:
        return encode_tried(await self._replayer.try_rules(request.rules, request.requests))

    async def ExplainSlate(
        self, request: pb.ExplainSlateRequest, context: Context
    ) -> pb.ExplainSlateResponse:
        logged = await self._replayer.read(check_id("request_id", request.request_id))
        slate, budget = logged.slate, Budget.current(self._default_deadline)
        facts = await self._reasoner.facts(slate, budget, causes=True)
        return encode_logged(logged, slate, facts)

    async def ReplaySlate(
        self, request: pb.ReplaySlateRequest, context: Context
    ) -> pb.ReplaySlateResponse:
        if request.release_id:
            await self._switch.check_known(request.release_id)
        logged, slate = await self._replayer.replay(
            check_id("request_id", request.request_id),
            request.release_id,
            request.rules if request.HasField("rules") else None,
        )
        return encode_replayed(logged, slate)
