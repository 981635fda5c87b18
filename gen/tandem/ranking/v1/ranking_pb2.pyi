from tandem.model.v1 import model_pb2 as _model_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RankRequest(_message.Message):
    __slots__ = ("release_id", "user", "item_rows", "explain")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ITEM_ROWS_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    user: _model_pb2.UserInput
    item_rows: _containers.RepeatedScalarFieldContainer[int]
    explain: bool
    def __init__(self, release_id: _Optional[str] = ..., user: _Optional[_Union[_model_pb2.UserInput, _Mapping]] = ..., item_rows: _Optional[_Iterable[int]] = ..., explain: _Optional[bool] = ...) -> None: ...

class ScorePart(_message.Message):
    __slots__ = ("name", "scores")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    name: str
    scores: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., scores: _Optional[_Iterable[float]] = ...) -> None: ...

class RankResponse(_message.Message):
    __slots__ = ("release_id", "scores", "predictions", "parts")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    scores: _containers.RepeatedScalarFieldContainer[float]
    predictions: _containers.RepeatedScalarFieldContainer[float]
    parts: _containers.RepeatedCompositeFieldContainer[ScorePart]
    def __init__(self, release_id: _Optional[str] = ..., scores: _Optional[_Iterable[float]] = ..., predictions: _Optional[_Iterable[float]] = ..., parts: _Optional[_Iterable[_Union[ScorePart, _Mapping]]] = ...) -> None: ...

class AttributeRequest(_message.Message):
    __slots__ = ("release_id", "user", "item_rows")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ITEM_ROWS_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    user: _model_pb2.UserInput
    item_rows: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, release_id: _Optional[str] = ..., user: _Optional[_Union[_model_pb2.UserInput, _Mapping]] = ..., item_rows: _Optional[_Iterable[int]] = ...) -> None: ...

class AttributeResponse(_message.Message):
    __slots__ = ("release_id", "cause_counts", "cause_rows", "drops")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_ROWS_FIELD_NUMBER: _ClassVar[int]
    DROPS_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    cause_counts: _containers.RepeatedScalarFieldContainer[int]
    cause_rows: _containers.RepeatedScalarFieldContainer[int]
    drops: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, release_id: _Optional[str] = ..., cause_counts: _Optional[_Iterable[int]] = ..., cause_rows: _Optional[_Iterable[int]] = ..., drops: _Optional[_Iterable[float]] = ...) -> None: ...

class PrepareReleaseRequest(_message.Message):
    __slots__ = ("release_id",)
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    def __init__(self, release_id: _Optional[str] = ...) -> None: ...

class PrepareReleaseResponse(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: int
    def __init__(self, items: _Optional[int] = ...) -> None: ...
