"""The service's messages to and from its own types."""

import math

from services.common.live_items import LiveItem
from services.features.events import Event
from services.features.items import Upserted
from services.features.recorder import Recorded
from services.features.release_rows import ItemMetadata
from services.features.users import UserFeatures
from tandem.features.v1 import features_pb2
from tandem.recommender.v1 import recommender_pb2


def decode_event(message: recommender_pb2.Event, now: float) -> Event:
    """The event as sent; a time that is not set is `now`, one that is malformed is NaN."""
    timestamp = now
    if message.HasField("timestamp"):
        sent = message.timestamp
        timestamp = sent.seconds + sent.nanos / 1e9 if 0 <= sent.nanos < 1e9 else math.nan
    return Event(
        event_id=message.event_id,
        user_id=message.user_id,
        item_id=message.item_id,
        kind=message.kind,
        value=message.value,
        timestamp=timestamp,
        region=message.region,
        request_id=message.request_id,
    )


def encode_recorded(recorded: Recorded) -> features_pb2.RecordEventsResponse:
    return features_pb2.RecordEventsResponse(
        accepted=recorded.accepted,
        duplicates=recorded.duplicates,
        errors=[
            recommender_pb2.EventError(index=index, field=error.field, reason=error.reason)
            for index, error in recorded.errors
        ],
    )


def encode_user(user: UserFeatures) -> features_pb2.GetUserFeaturesResponse:
    session = user.session
    return features_pb2.GetUserFeaturesResponse(
        session=features_pb2.Session(
            item_ids=session.item_ids,
            kinds=session.kinds,
            timestamps=session.timestamps,
            values=session.values,
            region=session.region,
            version=session.version,
        ),
        seen_item_ids=user.seen,
        factors=user.profile.factors,
        region=user.profile.region,
        friends=user.profile.friends,
    )


def encode_item(item: ItemMetadata) -> features_pb2.ItemFeatures:
    return features_pb2.ItemFeatures(
        item_id=item.item_id,
        title=item.title,
        genres=item.genres,
        year=item.year,
        adult=item.adult,
        vector=item.vector,
    )


def decode_item(message: recommender_pb2.Item) -> LiveItem:
    """The item as sent; one that does not say whether it is available is."""
    return LiveItem(
        item_id=message.item_id,
        title=message.title,
        genres=tuple(dict.fromkeys(message.genres)),
        year=message.year,
        adult=message.adult,
        available=message.available if message.HasField("available") else True,
    )


def encode_upserted(upserted: Upserted) -> features_pb2.UpsertItemsResponse:
    return features_pb2.UpsertItemsResponse(
        accepted=upserted.accepted,
        errors=[
            recommender_pb2.UpsertError(index=index, field=error.field, reason=error.reason)
            for index, error in upserted.errors
        ],
    )
