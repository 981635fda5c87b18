from tandem.model.v1 import model_pb2 as _model_pb2
from tandem.recommender.v1 import recommender_pb2 as _recommender_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FoundCandidates(_message.Message):
    __slots__ = ("sources", "rows", "scores", "ranks")
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    RANKS_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedScalarFieldContainer[str]
    rows: _containers.RepeatedScalarFieldContainer[int]
    scores: _containers.RepeatedScalarFieldContainer[float]
    ranks: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, sources: _Optional[_Iterable[str]] = ..., rows: _Optional[_Iterable[int]] = ..., scores: _Optional[_Iterable[float]] = ..., ranks: _Optional[_Iterable[int]] = ...) -> None: ...

class DroppedRows(_message.Message):
    __slots__ = ("by", "rows")
    BY_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    by: str
    rows: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, by: _Optional[str] = ..., rows: _Optional[_Iterable[int]] = ...) -> None: ...

class PlacedItem(_message.Message):
    __slots__ = ("place", "row", "label")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    place: int
    row: int
    label: str
    def __init__(self, place: _Optional[int] = ..., row: _Optional[int] = ..., label: _Optional[str] = ...) -> None: ...

class ServedRequest(_message.Message):
    __slots__ = ("request", "release_id", "rules_digest", "live_items", "time", "as_of", "user", "session", "seen_steps", "shown", "found", "dropped", "ranked_rows", "ranked_scores", "ranked_predictions", "placed", "slate_rows", "stage_millis", "ranked_boosts")
    class StageMillisEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    RULES_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LIVE_ITEMS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SEEN_STEPS_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    RANKED_ROWS_FIELD_NUMBER: _ClassVar[int]
    RANKED_SCORES_FIELD_NUMBER: _ClassVar[int]
    RANKED_PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    PLACED_FIELD_NUMBER: _ClassVar[int]
    SLATE_ROWS_FIELD_NUMBER: _ClassVar[int]
    STAGE_MILLIS_FIELD_NUMBER: _ClassVar[int]
    RANKED_BOOSTS_FIELD_NUMBER: _ClassVar[int]
    request: _recommender_pb2.RecommendRequest
    release_id: str
    rules_digest: str
    live_items: int
    time: float
    as_of: float
    user: _model_pb2.UserInput
    session: _recommender_pb2.UserTrace
    seen_steps: _containers.RepeatedScalarFieldContainer[int]
    shown: _model_pb2.WeightedRows
    found: _containers.RepeatedCompositeFieldContainer[FoundCandidates]
    dropped: _containers.RepeatedCompositeFieldContainer[DroppedRows]
    ranked_rows: _containers.RepeatedScalarFieldContainer[int]
    ranked_scores: _containers.RepeatedScalarFieldContainer[float]
    ranked_predictions: _containers.RepeatedScalarFieldContainer[float]
    placed: _containers.RepeatedCompositeFieldContainer[PlacedItem]
    slate_rows: _containers.RepeatedScalarFieldContainer[int]
    stage_millis: _containers.ScalarMap[str, float]
    ranked_boosts: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, request: _Optional[_Union[_recommender_pb2.RecommendRequest, _Mapping]] = ..., release_id: _Optional[str] = ..., rules_digest: _Optional[str] = ..., live_items: _Optional[int] = ..., time: _Optional[float] = ..., as_of: _Optional[float] = ..., user: _Optional[_Union[_model_pb2.UserInput, _Mapping]] = ..., session: _Optional[_Union[_recommender_pb2.UserTrace, _Mapping]] = ..., seen_steps: _Optional[_Iterable[int]] = ..., shown: _Optional[_Union[_model_pb2.WeightedRows, _Mapping]] = ..., found: _Optional[_Iterable[_Union[FoundCandidates, _Mapping]]] = ..., dropped: _Optional[_Iterable[_Union[DroppedRows, _Mapping]]] = ..., ranked_rows: _Optional[_Iterable[int]] = ..., ranked_scores: _Optional[_Iterable[float]] = ..., ranked_predictions: _Optional[_Iterable[float]] = ..., placed: _Optional[_Iterable[_Union[PlacedItem, _Mapping]]] = ..., slate_rows: _Optional[_Iterable[int]] = ..., stage_millis: _Optional[_Mapping[str, float]] = ..., ranked_boosts: _Optional[_Iterable[float]] = ...) -> None: ...
