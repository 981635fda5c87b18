"""The service's messages to and from its own types."""

from collections.abc import Mapping, Sequence

from models.trending import Trend
from services.common.errors import InvalidArgument
from services.common.live_items import LiveItem
from services.common.timestamps import unix_seconds
from services.features.events import Event, FieldError, check_kind
from services.features.recorder import Recorded
from services.features.release_rows import ItemMetadata
from services.features.seen import ANY_KIND, SeenWanted, kinds_mask
from services.features.trends import Trends
from services.features.user_table import User
from services.features.users import UserFeatures
from services.features.weighted_items import WeightedItems
from tandem.features.v1 import features_pb2
from tandem.recommender.v1 import recommender_pb2
from tandem.recommender.v1.recommender_pb2 import UpsertError


def decode_event(message: recommender_pb2.Event, now: float) -> Event:
    """The event as sent; a time that is not set is `now`, one that is malformed is NaN."""
    timestamp = unix_seconds(message.timestamp) if message.HasField("timestamp") else now
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


def encode_trend(trend: Trend[str]) -> features_pb2.WeightedItems | None:
    """None for a trend without items."""
    if not trend.items:
        return None
    return features_pb2.WeightedItems(item_ids=trend.items, weights=trend.shares)


def decode_seen_wanted(request: features_pb2.GetUserFeaturesRequest) -> SeenWanted:
    """What a request wants of the seen items.

    Raises:
        InvalidArgument: a kind is none.
    """
    for place, kind in enumerate(request.seen_kinds):
        if fault := check_kind(f"seen_kinds[{place}]", kind):
            raise InvalidArgument(fault.field, fault.reason)
    return SeenWanted(kinds_mask(request.seen_kinds) or ANY_KIND, request.seen_since_version)


def encode_user(
    user: UserFeatures, trends: Trends[features_pb2.WeightedItems | None]
) -> features_pb2.GetUserFeaturesResponse:
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
        seen_item_ids=user.seen.item_ids,
        seen_is_increment=user.seen.is_increment,
        factors=user.profile.factors,
        region=user.profile.region,
        friends=user.profile.friends,
        friends_items=_encode_weighted(user.friends_items),
        trend=trends.everywhere,
        trend_here=trends.here,
    )


def _encode_weighted(items: WeightedItems) -> features_pb2.WeightedItems | None:
    if not items.item_ids:
        return None
    return features_pb2.WeightedItems(item_ids=items.item_ids, weights=items.weights)


def decode_user(message: recommender_pb2.User) -> User:
    return User(message.user_id, message.region, tuple(message.friends))


def encode_upsert_errors(errors: Sequence[tuple[int, FieldError]]) -> list[UpsertError]:
    return [UpsertError(index=index, field=e.field, reason=e.reason) for index, e in errors]


def encode_erased(erased: Mapping[str, int]) -> features_pb2.DeleteUserResponse:
    return features_pb2.DeleteUserResponse(
        events=erased["events"], stored_lists=erased["stored_lists"], slates=erased["slates"]
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
    """The item as sent; one that does not say whether it is available is. Malformed times are NaN,
    ones that are not set are 0."""
    return LiveItem(
        item_id=message.item_id,
        title=message.title,
        genres=tuple(dict.fromkeys(message.genres)),
        year=message.year,
        adult=message.adult,
        available=message.available if message.HasField("available") else True,
        creators=tuple(dict.fromkeys(message.creators)),
        available_from=unix_seconds(message.available_from),
        available_until=unix_seconds(message.available_until),
    )
