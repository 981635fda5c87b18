import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_RATING: _ClassVar[EventKind]
    EVENT_KIND_VIEW: _ClassVar[EventKind]
    EVENT_KIND_CLICK: _ClassVar[EventKind]
    EVENT_KIND_LIKE: _ClassVar[EventKind]
    EVENT_KIND_COMMENT: _ClassVar[EventKind]
    EVENT_KIND_SHARE: _ClassVar[EventKind]
    EVENT_KIND_SAVE: _ClassVar[EventKind]
    EVENT_KIND_FORWARD: _ClassVar[EventKind]
    EVENT_KIND_WATCH: _ClassVar[EventKind]
    EVENT_KIND_DISLIKE: _ClassVar[EventKind]
    EVENT_KIND_HIDE: _ClassVar[EventKind]

class Level(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEVEL_UNSPECIFIED: _ClassVar[Level]
    LEVEL_FULL: _ClassVar[Level]
    LEVEL_NO_SESSION: _ClassVar[Level]
    LEVEL_UNRANKED: _ClassVar[Level]
    LEVEL_STORED: _ClassVar[Level]
    LEVEL_POPULAR: _ClassVar[Level]

class ReleaseState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELEASE_STATE_UNSPECIFIED: _ClassVar[ReleaseState]
    RELEASE_STATE_BUILT: _ClassVar[ReleaseState]
    RELEASE_STATE_ACTIVE: _ClassVar[ReleaseState]
    RELEASE_STATE_RETIRED: _ClassVar[ReleaseState]
    RELEASE_STATE_FAILED: _ClassVar[ReleaseState]
    RELEASE_STATE_PROBED: _ClassVar[ReleaseState]
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_RATING: EventKind
EVENT_KIND_VIEW: EventKind
EVENT_KIND_CLICK: EventKind
EVENT_KIND_LIKE: EventKind
EVENT_KIND_COMMENT: EventKind
EVENT_KIND_SHARE: EventKind
EVENT_KIND_SAVE: EventKind
EVENT_KIND_FORWARD: EventKind
EVENT_KIND_WATCH: EventKind
EVENT_KIND_DISLIKE: EventKind
EVENT_KIND_HIDE: EventKind
LEVEL_UNSPECIFIED: Level
LEVEL_FULL: Level
LEVEL_NO_SESSION: Level
LEVEL_UNRANKED: Level
LEVEL_STORED: Level
LEVEL_POPULAR: Level
RELEASE_STATE_UNSPECIFIED: ReleaseState
RELEASE_STATE_BUILT: ReleaseState
RELEASE_STATE_ACTIVE: ReleaseState
RELEASE_STATE_RETIRED: ReleaseState
RELEASE_STATE_FAILED: ReleaseState
RELEASE_STATE_PROBED: ReleaseState

class Event(_message.Message):
    __slots__ = ("event_id", "user_id", "item_id", "kind", "value", "timestamp", "region", "request_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    user_id: str
    item_id: str
    kind: EventKind
    value: float
    timestamp: _timestamp_pb2.Timestamp
    region: str
    request_id: str
    def __init__(self, event_id: _Optional[str] = ..., user_id: _Optional[str] = ..., item_id: _Optional[str] = ..., kind: _Optional[_Union[EventKind, str]] = ..., value: _Optional[float] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., region: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class Context(_message.Message):
    __slots__ = ("region", "device", "time", "age")
    REGION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    region: str
    device: str
    time: _timestamp_pb2.Timestamp
    age: int
    def __init__(self, region: _Optional[str] = ..., device: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., age: _Optional[int] = ...) -> None: ...

class RecommendRequest(_message.Message):
    __slots__ = ("user_id", "count", "context", "recent_events", "exclude_item_ids", "explain")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RECENT_EVENTS_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    count: int
    context: Context
    recent_events: _containers.RepeatedCompositeFieldContainer[Event]
    exclude_item_ids: _containers.RepeatedScalarFieldContainer[str]
    explain: bool
    def __init__(self, user_id: _Optional[str] = ..., count: _Optional[int] = ..., context: _Optional[_Union[Context, _Mapping]] = ..., recent_events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., exclude_item_ids: _Optional[_Iterable[str]] = ..., explain: _Optional[bool] = ...) -> None: ...

class Cause(_message.Message):
    __slots__ = ("item_id", "title", "kind", "drop")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DROP_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    title: str
    kind: EventKind
    drop: float
    def __init__(self, item_id: _Optional[str] = ..., title: _Optional[str] = ..., kind: _Optional[_Union[EventKind, str]] = ..., drop: _Optional[float] = ...) -> None: ...

class RecommendedItem(_message.Message):
    __slots__ = ("item_id", "score", "title", "sources", "reasons", "parts", "propensity", "source_ranks", "label", "causes")
    class PartsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class SourceRanksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    PROPENSITY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_RANKS_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    score: float
    title: str
    sources: _containers.RepeatedScalarFieldContainer[str]
    reasons: _containers.RepeatedScalarFieldContainer[str]
    parts: _containers.ScalarMap[str, float]
    propensity: float
    source_ranks: _containers.ScalarMap[str, int]
    label: str
    causes: _containers.RepeatedCompositeFieldContainer[Cause]
    def __init__(self, item_id: _Optional[str] = ..., score: _Optional[float] = ..., title: _Optional[str] = ..., sources: _Optional[_Iterable[str]] = ..., reasons: _Optional[_Iterable[str]] = ..., parts: _Optional[_Mapping[str, float]] = ..., propensity: _Optional[float] = ..., source_ranks: _Optional[_Mapping[str, int]] = ..., label: _Optional[str] = ..., causes: _Optional[_Iterable[_Union[Cause, _Mapping]]] = ...) -> None: ...

class StageTrace(_message.Message):
    __slots__ = ("stage", "component", "rows_in", "rows_out", "millis", "error")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    ROWS_IN_FIELD_NUMBER: _ClassVar[int]
    ROWS_OUT_FIELD_NUMBER: _ClassVar[int]
    MILLIS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    stage: str
    component: str
    rows_in: int
    rows_out: int
    millis: float
    error: str
    def __init__(self, stage: _Optional[str] = ..., component: _Optional[str] = ..., rows_in: _Optional[int] = ..., rows_out: _Optional[int] = ..., millis: _Optional[float] = ..., error: _Optional[str] = ...) -> None: ...

class UserTrace(_message.Message):
    __slots__ = ("version", "events", "newest", "friends_items", "region")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    FRIENDS_ITEMS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    version: int
    events: int
    newest: _timestamp_pb2.Timestamp
    friends_items: int
    region: str
    def __init__(self, version: _Optional[int] = ..., events: _Optional[int] = ..., newest: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., friends_items: _Optional[int] = ..., region: _Optional[str] = ...) -> None: ...

class CandidateTrace(_message.Message):
    __slots__ = ("item_id", "title", "source_ranks", "retrieval_score", "dropped_by", "score", "rank", "place")
    class SourceRanksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_RANKS_FIELD_NUMBER: _ClassVar[int]
    RETRIEVAL_SCORE_FIELD_NUMBER: _ClassVar[int]
    DROPPED_BY_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    title: str
    source_ranks: _containers.ScalarMap[str, int]
    retrieval_score: float
    dropped_by: str
    score: float
    rank: int
    place: int
    def __init__(self, item_id: _Optional[str] = ..., title: _Optional[str] = ..., source_ranks: _Optional[_Mapping[str, int]] = ..., retrieval_score: _Optional[float] = ..., dropped_by: _Optional[str] = ..., score: _Optional[float] = ..., rank: _Optional[int] = ..., place: _Optional[int] = ...) -> None: ...

class Trace(_message.Message):
    __slots__ = ("stages", "user", "candidates", "rules_digest")
    STAGES_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    RULES_DIGEST_FIELD_NUMBER: _ClassVar[int]
    stages: _containers.RepeatedCompositeFieldContainer[StageTrace]
    user: UserTrace
    candidates: _containers.RepeatedCompositeFieldContainer[CandidateTrace]
    rules_digest: str
    def __init__(self, stages: _Optional[_Iterable[_Union[StageTrace, _Mapping]]] = ..., user: _Optional[_Union[UserTrace, _Mapping]] = ..., candidates: _Optional[_Iterable[_Union[CandidateTrace, _Mapping]]] = ..., rules_digest: _Optional[str] = ...) -> None: ...

class RecommendResponse(_message.Message):
    __slots__ = ("items", "release_id", "level", "stage_millis", "request_id", "trace")
    class StageMillisEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    STAGE_MILLIS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RecommendedItem]
    release_id: str
    level: Level
    stage_millis: _containers.ScalarMap[str, float]
    request_id: str
    trace: Trace
    def __init__(self, items: _Optional[_Iterable[_Union[RecommendedItem, _Mapping]]] = ..., release_id: _Optional[str] = ..., level: _Optional[_Union[Level, str]] = ..., stage_millis: _Optional[_Mapping[str, float]] = ..., request_id: _Optional[str] = ..., trace: _Optional[_Union[Trace, _Mapping]] = ...) -> None: ...

class RecommendStoredRequest(_message.Message):
    __slots__ = ("user_id", "count")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    count: int
    def __init__(self, user_id: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class RecommendStoredResponse(_message.Message):
    __slots__ = ("items", "release_id", "level")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RecommendedItem]
    release_id: str
    level: Level
    def __init__(self, items: _Optional[_Iterable[_Union[RecommendedItem, _Mapping]]] = ..., release_id: _Optional[str] = ..., level: _Optional[_Union[Level, str]] = ...) -> None: ...

class SimilarItemsRequest(_message.Message):
    __slots__ = ("item_id", "count", "method", "missing")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    count: int
    method: str
    missing: str
    def __init__(self, item_id: _Optional[str] = ..., count: _Optional[int] = ..., method: _Optional[str] = ..., missing: _Optional[str] = ...) -> None: ...

class SimilarItem(_message.Message):
    __slots__ = ("item_id", "score", "title")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    score: float
    title: str
    def __init__(self, item_id: _Optional[str] = ..., score: _Optional[float] = ..., title: _Optional[str] = ...) -> None: ...

class SimilarItemsResponse(_message.Message):
    __slots__ = ("items", "release_id", "method", "missing")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[SimilarItem]
    release_id: str
    method: str
    missing: str
    def __init__(self, items: _Optional[_Iterable[_Union[SimilarItem, _Mapping]]] = ..., release_id: _Optional[str] = ..., method: _Optional[str] = ..., missing: _Optional[str] = ...) -> None: ...

class SimilarUsersRequest(_message.Message):
    __slots__ = ("user_id", "count", "method", "missing")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    count: int
    method: str
    missing: str
    def __init__(self, user_id: _Optional[str] = ..., count: _Optional[int] = ..., method: _Optional[str] = ..., missing: _Optional[str] = ...) -> None: ...

class SimilarUser(_message.Message):
    __slots__ = ("user_id", "score")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    score: float
    def __init__(self, user_id: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class SimilarUsersResponse(_message.Message):
    __slots__ = ("users", "release_id", "method")
    USERS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[SimilarUser]
    release_id: str
    method: str
    def __init__(self, users: _Optional[_Iterable[_Union[SimilarUser, _Mapping]]] = ..., release_id: _Optional[str] = ..., method: _Optional[str] = ...) -> None: ...

class RecordEventsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class EventError(_message.Message):
    __slots__ = ("index", "field", "reason")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    index: int
    field: str
    reason: str
    def __init__(self, index: _Optional[int] = ..., field: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RecordEventsResponse(_message.Message):
    __slots__ = ("accepted", "duplicates", "errors")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    duplicates: int
    errors: _containers.RepeatedCompositeFieldContainer[EventError]
    def __init__(self, accepted: _Optional[int] = ..., duplicates: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[EventError, _Mapping]]] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("item_id", "title", "genres", "year", "adult", "available", "creators", "available_from", "available_until")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    GENRES_FIELD_NUMBER: _ClassVar[int]
    YEAR_FIELD_NUMBER: _ClassVar[int]
    ADULT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    CREATORS_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FROM_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    title: str
    genres: _containers.RepeatedScalarFieldContainer[str]
    year: int
    adult: bool
    available: bool
    creators: _containers.RepeatedScalarFieldContainer[str]
    available_from: _timestamp_pb2.Timestamp
    available_until: _timestamp_pb2.Timestamp
    def __init__(self, item_id: _Optional[str] = ..., title: _Optional[str] = ..., genres: _Optional[_Iterable[str]] = ..., year: _Optional[int] = ..., adult: _Optional[bool] = ..., available: _Optional[bool] = ..., creators: _Optional[_Iterable[str]] = ..., available_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., available_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("user_id", "region", "friends")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    FRIENDS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    region: str
    friends: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_id: _Optional[str] = ..., region: _Optional[str] = ..., friends: _Optional[_Iterable[str]] = ...) -> None: ...

class UpsertError(_message.Message):
    __slots__ = ("index", "field", "reason")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    index: int
    field: str
    reason: str
    def __init__(self, index: _Optional[int] = ..., field: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class UpsertItemsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ...) -> None: ...

class UpsertItemsResponse(_message.Message):
    __slots__ = ("accepted", "errors")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    errors: _containers.RepeatedCompositeFieldContainer[UpsertError]
    def __init__(self, accepted: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[UpsertError, _Mapping]]] = ...) -> None: ...

class UpsertUsersRequest(_message.Message):
    __slots__ = ("users",)
    USERS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[User]
    def __init__(self, users: _Optional[_Iterable[_Union[User, _Mapping]]] = ...) -> None: ...

class UpsertUsersResponse(_message.Message):
    __slots__ = ("accepted", "errors")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    errors: _containers.RepeatedCompositeFieldContainer[UpsertError]
    def __init__(self, accepted: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[UpsertError, _Mapping]]] = ...) -> None: ...

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

class Release(_message.Message):
    __slots__ = ("release_id", "state", "created_at", "metrics", "reason")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    state: ReleaseState
    created_at: _timestamp_pb2.Timestamp
    metrics: _containers.ScalarMap[str, float]
    reason: str
    def __init__(self, release_id: _Optional[str] = ..., state: _Optional[_Union[ReleaseState, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., reason: _Optional[str] = ...) -> None: ...

class ListReleasesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListReleasesResponse(_message.Message):
    __slots__ = ("releases",)
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    releases: _containers.RepeatedCompositeFieldContainer[Release]
    def __init__(self, releases: _Optional[_Iterable[_Union[Release, _Mapping]]] = ...) -> None: ...

class ActivateReleaseRequest(_message.Message):
    __slots__ = ("release_id",)
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    def __init__(self, release_id: _Optional[str] = ...) -> None: ...

class ActivateReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class RollbackReleaseRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RollbackReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class GetRulesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetRulesResponse(_message.Message):
    __slots__ = ("rules", "digest", "warnings")
    RULES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    rules: str
    digest: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rules: _Optional[str] = ..., digest: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class SetRulesRequest(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: str
    def __init__(self, rules: _Optional[str] = ...) -> None: ...

class SetRulesResponse(_message.Message):
    __slots__ = ("digest", "warnings")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    digest: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, digest: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class TryRulesRequest(_message.Message):
    __slots__ = ("rules", "requests")
    RULES_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    rules: str
    requests: int
    def __init__(self, rules: _Optional[str] = ..., requests: _Optional[int] = ...) -> None: ...

class ChangedSlate(_message.Message):
    __slots__ = ("request_id", "user_id", "entering", "leaving", "moved")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ENTERING_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    user_id: str
    entering: _containers.RepeatedScalarFieldContainer[str]
    leaving: _containers.RepeatedScalarFieldContainer[str]
    moved: int
    def __init__(self, request_id: _Optional[str] = ..., user_id: _Optional[str] = ..., entering: _Optional[_Iterable[str]] = ..., leaving: _Optional[_Iterable[str]] = ..., moved: _Optional[int] = ...) -> None: ...

class TryRulesResponse(_message.Message):
    __slots__ = ("requests", "users", "changed_users", "changed", "kept_share", "skipped")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_USERS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    KEPT_SHARE_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    requests: int
    users: int
    changed_users: int
    changed: _containers.RepeatedCompositeFieldContainer[ChangedSlate]
    kept_share: float
    skipped: int
    def __init__(self, requests: _Optional[int] = ..., users: _Optional[int] = ..., changed_users: _Optional[int] = ..., changed: _Optional[_Iterable[_Union[ChangedSlate, _Mapping]]] = ..., kept_share: _Optional[float] = ..., skipped: _Optional[int] = ...) -> None: ...

class ExplainSlateRequest(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    def __init__(self, request_id: _Optional[str] = ...) -> None: ...

class ExplainSlateResponse(_message.Message):
    __slots__ = ("request", "response", "served_at", "rules")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SERVED_AT_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    request: RecommendRequest
    response: RecommendResponse
    served_at: _timestamp_pb2.Timestamp
    rules: str
    def __init__(self, request: _Optional[_Union[RecommendRequest, _Mapping]] = ..., response: _Optional[_Union[RecommendResponse, _Mapping]] = ..., served_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rules: _Optional[str] = ...) -> None: ...

class ReplaySlateRequest(_message.Message):
    __slots__ = ("request_id", "release_id", "rules")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    release_id: str
    rules: str
    def __init__(self, request_id: _Optional[str] = ..., release_id: _Optional[str] = ..., rules: _Optional[str] = ...) -> None: ...

class ReplaySlateResponse(_message.Message):
    __slots__ = ("identical", "items", "original", "release_id", "level", "original_release_id", "original_level", "trace")
    IDENTICAL_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_LEVEL_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    identical: bool
    items: _containers.RepeatedCompositeFieldContainer[RecommendedItem]
    original: _containers.RepeatedCompositeFieldContainer[RecommendedItem]
    release_id: str
    level: Level
    original_release_id: str
    original_level: Level
    trace: Trace
    def __init__(self, identical: _Optional[bool] = ..., items: _Optional[_Iterable[_Union[RecommendedItem, _Mapping]]] = ..., original: _Optional[_Iterable[_Union[RecommendedItem, _Mapping]]] = ..., release_id: _Optional[str] = ..., level: _Optional[_Union[Level, str]] = ..., original_release_id: _Optional[str] = ..., original_level: _Optional[_Union[Level, str]] = ..., trace: _Optional[_Union[Trace, _Mapping]] = ...) -> None: ...
