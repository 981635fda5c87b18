from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WeightedRows(_message.Message):
    __slots__ = ("rows", "weights")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedScalarFieldContainer[int]
    weights: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, rows: _Optional[_Iterable[int]] = ..., weights: _Optional[_Iterable[float]] = ...) -> None: ...

class UserInput(_message.Message):
    __slots__ = ("history_rows", "history_kinds", "history_ages", "history_values", "request_time", "region", "device", "factors", "friends", "trend", "trend_here")
    HISTORY_ROWS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_KINDS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_AGES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_VALUES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    FRIENDS_FIELD_NUMBER: _ClassVar[int]
    TREND_FIELD_NUMBER: _ClassVar[int]
    TREND_HERE_FIELD_NUMBER: _ClassVar[int]
    history_rows: _containers.RepeatedScalarFieldContainer[int]
    history_kinds: _containers.RepeatedScalarFieldContainer[int]
    history_ages: _containers.RepeatedScalarFieldContainer[float]
    history_values: _containers.RepeatedScalarFieldContainer[float]
    request_time: float
    region: str
    device: str
    factors: _containers.RepeatedScalarFieldContainer[float]
    friends: WeightedRows
    trend: WeightedRows
    trend_here: WeightedRows
    def __init__(self, history_rows: _Optional[_Iterable[int]] = ..., history_kinds: _Optional[_Iterable[int]] = ..., history_ages: _Optional[_Iterable[float]] = ..., history_values: _Optional[_Iterable[float]] = ..., request_time: _Optional[float] = ..., region: _Optional[str] = ..., device: _Optional[str] = ..., factors: _Optional[_Iterable[float]] = ..., friends: _Optional[_Union[WeightedRows, _Mapping]] = ..., trend: _Optional[_Union[WeightedRows, _Mapping]] = ..., trend_here: _Optional[_Union[WeightedRows, _Mapping]] = ...) -> None: ...
