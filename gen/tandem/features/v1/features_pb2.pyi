from tandem.recommender.v1 import recommender_pb2 as _recommender_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetUserFeaturesRequest(_message.Message):
    __slots__ = ("user_id", "release_id", "as_of", "region", "trend_half_life_days", "seen_kinds", "seen_since_version")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    TREND_HALF_LIFE_DAYS_FIELD_NUMBER: _ClassVar[int]
    SEEN_KINDS_FIELD_NUMBER: _ClassVar[int]
    SEEN_SINCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    release_id: str
    as_of: float
    region: str
    trend_half_life_days: float
    seen_kinds: _containers.RepeatedScalarFieldContainer[int]
    seen_since_version: int
    def __init__(self, user_id: _Optional[str] = ..., release_id: _Optional[str] = ..., as_of: _Optional[float] = ..., region: _Optional[str] = ..., trend_half_life_days: _Optional[float] = ..., seen_kinds: _Optional[_Iterable[int]] = ..., seen_since_version: _Optional[int] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("item_ids", "kinds", "timestamps", "values", "region", "version")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMPS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    kinds: _containers.RepeatedScalarFieldContainer[int]
    timestamps: _containers.RepeatedScalarFieldContainer[float]
    values: _containers.RepeatedScalarFieldContainer[float]
    region: str
    version: int
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., kinds: _Optional[_Iterable[int]] = ..., timestamps: _Optional[_Iterable[float]] = ..., values: _Optional[_Iterable[float]] = ..., region: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class WeightedItems(_message.Message):
    __slots__ = ("item_ids", "weights")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    weights: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., weights: _Optional[_Iterable[float]] = ...) -> None: ...

class GetUserFeaturesResponse(_message.Message):
    __slots__ = ("session", "seen_item_ids", "factors", "region", "friends", "friends_items", "trend", "trend_here", "seen_is_increment")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SEEN_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    FRIENDS_FIELD_NUMBER: _ClassVar[int]
    FRIENDS_ITEMS_FIELD_NUMBER: _ClassVar[int]
    TREND_FIELD_NUMBER: _ClassVar[int]
    TREND_HERE_FIELD_NUMBER: _ClassVar[int]
    SEEN_IS_INCREMENT_FIELD_NUMBER: _ClassVar[int]
    session: Session
    seen_item_ids: _containers.RepeatedScalarFieldContainer[str]
    factors: _containers.RepeatedScalarFieldContainer[float]
    region: str
    friends: _containers.RepeatedScalarFieldContainer[str]
    friends_items: WeightedItems
    trend: WeightedItems
    trend_here: WeightedItems
    seen_is_increment: bool
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ..., seen_item_ids: _Optional[_Iterable[str]] = ..., factors: _Optional[_Iterable[float]] = ..., region: _Optional[str] = ..., friends: _Optional[_Iterable[str]] = ..., friends_items: _Optional[_Union[WeightedItems, _Mapping]] = ..., trend: _Optional[_Union[WeightedItems, _Mapping]] = ..., trend_here: _Optional[_Union[WeightedItems, _Mapping]] = ..., seen_is_increment: _Optional[bool] = ...) -> None: ...

class GetItemFeaturesRequest(_message.Message):
    __slots__ = ("release_id", "item_ids")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, release_id: _Optional[str] = ..., item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ItemFeatures(_message.Message):
    __slots__ = ("item_id", "title", "genres", "year", "adult", "vector")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    GENRES_FIELD_NUMBER: _ClassVar[int]
    YEAR_FIELD_NUMBER: _ClassVar[int]
    ADULT_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    title: str
    genres: _containers.RepeatedScalarFieldContainer[str]
    year: int
    adult: bool
    vector: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, item_id: _Optional[str] = ..., title: _Optional[str] = ..., genres: _Optional[_Iterable[str]] = ..., year: _Optional[int] = ..., adult: _Optional[bool] = ..., vector: _Optional[_Iterable[float]] = ...) -> None: ...

class GetItemFeaturesResponse(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ItemFeatures]
    def __init__(self, items: _Optional[_Iterable[_Union[ItemFeatures, _Mapping]]] = ...) -> None: ...

class RecordEventsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_recommender_pb2.Event]
    def __init__(self, events: _Optional[_Iterable[_Union[_recommender_pb2.Event, _Mapping]]] = ...) -> None: ...

class RecordEventsResponse(_message.Message):
    __slots__ = ("accepted", "duplicates", "errors")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    duplicates: int
    errors: _containers.RepeatedCompositeFieldContainer[_recommender_pb2.EventError]
    def __init__(self, accepted: _Optional[int] = ..., duplicates: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[_recommender_pb2.EventError, _Mapping]]] = ...) -> None: ...

class PrepareReleaseRequest(_message.Message):
    __slots__ = ("release_id",)
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    def __init__(self, release_id: _Optional[str] = ...) -> None: ...

class PrepareReleaseResponse(_message.Message):
    __slots__ = ("users", "items")
    USERS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    users: int
    items: int
    def __init__(self, users: _Optional[int] = ..., items: _Optional[int] = ...) -> None: ...

class UpsertItemsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_recommender_pb2.Item]
    def __init__(self, items: _Optional[_Iterable[_Union[_recommender_pb2.Item, _Mapping]]] = ...) -> None: ...

class UpsertItemsResponse(_message.Message):
    __slots__ = ("accepted", "errors")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    errors: _containers.RepeatedCompositeFieldContainer[_recommender_pb2.UpsertError]
    def __init__(self, accepted: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[_recommender_pb2.UpsertError, _Mapping]]] = ...) -> None: ...

class UpsertUsersRequest(_message.Message):
    __slots__ = ("users",)
    USERS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[_recommender_pb2.User]
    def __init__(self, users: _Optional[_Iterable[_Union[_recommender_pb2.User, _Mapping]]] = ...) -> None: ...

class UpsertUsersResponse(_message.Message):
    __slots__ = ("accepted", "errors")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    errors: _containers.RepeatedCompositeFieldContainer[_recommender_pb2.UpsertError]
    def __init__(self, accepted: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[_recommender_pb2.UpsertError, _Mapping]]] = ...) -> None: ...

class DeleteUserRequest(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    def __init__(self, user_id: _Optional[str] = ...) -> None: ...

class DeleteUserResponse(_message.Message):
    __slots__ = ("events", "stored_lists", "slates")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    STORED_LISTS_FIELD_NUMBER: _ClassVar[int]
    SLATES_FIELD_NUMBER: _ClassVar[int]
    events: int
    stored_lists: int
    slates: int
    def __init__(self, events: _Optional[int] = ..., stored_lists: _Optional[int] = ..., slates: _Optional[int] = ...) -> None: ...
