"""The servicer: decode, call, encode."""

import math
import time

from services.common.collected import Settled
from services.common.errors import InvalidArgument
from services.common.interceptors import Context
from services.features.codec import (
    decode_event,
    decode_item,
    decode_seen_wanted,
    decode_user,
    encode_erased,
    encode_item,
    encode_recorded,
    encode_upsert_errors,
    encode_user,
)
from services.features.erasure import UserEraser
from services.features.events import MAX_ID_LENGTH, FieldError, check_id, check_text
from services.features.items import ItemUpserts
from services.features.recorder import EventRecorder
from services.features.release_loader import ReleaseLoader
from services.features.store import FeatureStore
from services.features.trends import LiveTrend
from services.features.user_upserts import UserUpserts
from services.features.users import UserReader
from tandem.features.v1 import features_pb2, features_pb2_grpc

MAX_ITEMS = 1_000


class FeatureServicer(features_pb2_grpc.FeatureServiceServicer):
    """Implements `tandem.features.v1.FeatureService`."""

    def __init__(
        self,
        users: UserReader,
        recorder: EventRecorder,
        releases: ReleaseLoader,
        store: FeatureStore,
        upserts: UserUpserts,
        eraser: UserEraser,
        trend: LiveTrend[features_pb2.WeightedItems | None],
        items: ItemUpserts,
        settled: Settled,
    ) -> None:
        self._users = users
        self._recorder = recorder
        self._releases = releases
        self._store = store
        self._upserts = upserts
        self._eraser = eraser
        self._trend = trend
        self._items = items
        self._settled = settled

    async def GetUserFeatures(
        self, request: features_pb2.GetUserFeaturesRequest, _context: Context
    ) -> features_pb2.GetUserFeaturesResponse:
        _require_id("user_id", request.user_id)
        _refuse(check_text("release_id", request.release_id, MAX_ID_LENGTH))
        if not (math.isfinite(request.as_of) and request.as_of >= 0):
            raise InvalidArgument("as_of", "must be a finite number, not below 0")
        as_of = request.as_of or None
        seen = decode_seen_wanted(request)
        user = await self._users.read(request.user_id, request.release_id, as_of, seen)
        region = request.region or user.session.region or user.profile.region
        return encode_user(user, await self._trend.top(request.trend_half_life_days, region, as_of))

    async def GetItemFeatures(
        self, request: features_pb2.GetItemFeaturesRequest, _context: Context
    ) -> features_pb2.GetItemFeaturesResponse:
        _require_id("release_id", request.release_id)
        if not 0 < len(request.item_ids) <= MAX_ITEMS:
            raise InvalidArgument("item_ids", f"1 to {MAX_ITEMS:,} are allowed")
        item_ids = list(request.item_ids)
        for place, item_id in enumerate(item_ids):
            _require_id(f"item_ids[{place}]", item_id)
        await self._releases.prepare(request.release_id)
        stored = await self._store.read_items(request.release_id, item_ids)
        items = await self._items.laid_over(item_ids, stored)
        return features_pb2.GetItemFeaturesResponse(items=map(encode_item, items))

    async def RecordEvents(
        self, request: features_pb2.RecordEventsRequest, _context: Context
    ) -> features_pb2.RecordEventsResponse:
        now = time.time()
        events = [decode_event(event, now) for event in request.events]
        return encode_recorded(await self._recorder.record(events))

    async def UpsertItems(
        self, request: features_pb2.UpsertItemsRequest, _context: Context
    ) -> features_pb2.UpsertItemsResponse:
        errors = await self._items.upsert([decode_item(item) for item in request.items])
        return features_pb2.UpsertItemsResponse(
            accepted=len(request.items) - len(errors), errors=encode_upsert_errors(errors)
        )

    async def UpsertUsers(
        self, request: features_pb2.UpsertUsersRequest, _context: Context
    ) -> features_pb2.UpsertUsersResponse:
        errors = await self._upserts.upsert([decode_user(user) for user in request.users])
        return features_pb2.UpsertUsersResponse(
            accepted=len(request.users) - len(errors), errors=encode_upsert_errors(errors)
        )

    async def DeleteUser(
        self, request: features_pb2.DeleteUserRequest, _context: Context
    ) -> features_pb2.DeleteUserResponse:
        _require_id("user_id", request.user_id)
        return encode_erased(await self._eraser.erase(request.user_id))

    async def PrepareRelease(
        self, request: features_pb2.PrepareReleaseRequest, _context: Context
    ) -> features_pb2.PrepareReleaseResponse:
        _require_id("release_id", request.release_id)
        await self._settled(request.release_id)
        counts = await self._releases.prepare(request.release_id)
        return features_pb2.PrepareReleaseResponse(users=counts.users, items=counts.items)


def _require_id(field: str, value: str) -> None:
    _refuse(check_id(field, value))


def _refuse(fault: FieldError | None) -> None:
    if fault is not None:
        raise InvalidArgument(fault.field, fault.reason)
