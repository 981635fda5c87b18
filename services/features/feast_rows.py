"""Rows of the online store, as Feast's messages and back as the service's dataclasses."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from feast import FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from services.features.release_rows import ItemMetadata, RowCounts, UserProfile
from services.features.sessions import Session

Row = Session | UserProfile | ItemMetadata | RowCounts
Key = Mapping[str, str]

_EPOCH = datetime.fromtimestamp(0, UTC)

R = TypeVar("R", bound=Row)


def feature_names(view: FeatureView) -> list[str]:
    """A view's features, without the columns of its key."""
    return list(_kinds(view))


def encode_rows(view: FeatureView, rows: Sequence[tuple[Key, Row]]) -> list[tuple[Any, ...]]:
    """Rows as the providers' `online_write_batch` takes them.

    A session's event time is its version: stores compare event times to tell old rows from new
    ones, and the times of a user's events need not grow.
    """
    kinds = _kinds(view)
    now = datetime.now(UTC)
    return [
        (
            entity_key(key),
            {name: _value(kind, getattr(row, name)) for name, kind in kinds.items()},
            _EPOCH + timedelta(seconds=row.version) if isinstance(row, Session) else now,
            now,
        )
        for key, row in rows
    ]


def decode_row(row_type: type[R], view: FeatureView, found: Mapping[str, Any], **key: Any) -> R:
    """The part of a row read from Feast that belongs to one view.

    Args:
        row_type: what to make.
        view: the view it was read from.
        found: values by `view__feature`; None where nothing is stored.
        key: fields of `row_type` that are not features.
    """
    stored = {name: found[f"{view.name}__{name}"] for name in _kinds(view)}
    return row_type(**key, **{name: value for name, value in stored.items() if value is not None})


@cache
def _kinds(view: FeatureView) -> dict[str, str]:
    """By feature, the field of Feast's `Value` message that carries it."""
    key = set(view.join_keys)
    return {
        field.name: f"{field.dtype.to_value_type().name.lower()}_val"
        for field in view.schema
        if field.name not in key
    }


def entity_key(key: Key) -> EntityKey:
    """A row's key as Feast's message."""
    return EntityKey(
        join_keys=list(key), entity_values=[Value(string_val=value) for value in key.values()]
    )


def _value(kind: str, content: Any) -> Value:
    value = Value()
    if kind.endswith("_list_val"):
        values = getattr(value, kind)
        values.SetInParent()  # so that an empty list is a value, too
        values.val.extend(content)
    else:
        setattr(value, kind, content)
    return value
