"""Requests to queries, with every field checked; answers to responses."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from models.events import EventKind
from models.history import Surroundings, UserHistory, WeightedRows
from services.common.errors import InvalidArgument
from services.common.live_items import MOST_LIVE_ITEMS
from services.common.model_input import decode_user
from services.retrieval.loaded import LoadedRelease
from services.retrieval.query import NewItems, Query
from services.retrieval.retriever import Retrieved
from services.retrieval.vectors import Space
from tandem.model.v1 import model_pb2
from tandem.retrieval.v1 import retrieval_pb2 as pb

MOST_CANDIDATES = 5_000
MOST_NEIGHBOURS = 500

_ROW = np.dtype("<u4")  # of `RetrieveRequest.exclude`

_AROUND = ("friends", "trend", "trend_here")  # rows of items, live ones too, in a user's message


def check_count(count: int, most: int) -> None:
    """Raises `InvalidArgument` unless 1 <= count <= most."""
    if not 1 <= count <= most:
        raise InvalidArgument("count", f"{count} is not within 1 to {most}")


def decode_query(
    request: pb.RetrieveRequest, loaded: LoadedRelease, seconds: float, new: NewItems | None = None
) -> Query:
    """The query of a request.

    Rows of live items that are not known here, as the orchestrator may have read the table a moment
    later, are left out: none of them could be found anyway.

    Args:
        request: what came in.
        loaded: the release it names.
        seconds: time a source has.
        new: items that came after the release; None for none.

    Raises:
        InvalidArgument: a field is out of range; the text begins with its name.
    """
    new = new or NewItems()
    excluded = np.zeros(len(loaded) + len(new), dtype=np.bool_)
    rows = _excluded(request, len(loaded) + MOST_LIVE_ITEMS)
    excluded[rows[rows < len(excluded)]] = True
    return Query(
        loaded=loaded,
        user=_user(request.user, loaded, len(excluded)),
        count=request.count,
        excluded=excluded,
        excluded_count=int(excluded.sum()),
        seconds=seconds,
        new=new,
    )


def largest_row(request: pb.RetrieveRequest) -> int:
    """The largest row that a request names outside the history; -1 without any.

    Raises:
        InvalidArgument: the excluded rows are malformed.
    """
    around = (getattr(request.user, name).rows for name in _AROUND)
    return max(chain(_exclude(request)[-1:].tolist(), *around), default=-1)


def encode_retrieved(release_id: str, answer: Retrieved) -> pb.RetrieveResponse:
    """The response of an answer."""
    merged = answer.merged
    return pb.RetrieveResponse(
        release_id=release_id,
        item_rows=merged.rows.tolist(),
        scores=merged.scores.tolist(),
        sources=[
            pb.SourceReport(
                name=outcome.name,
                positions=merged.positions[outcome.name].tolist(),
                scores=merged.source_scores[outcome.name].tolist(),
                millis=outcome.millis,
                error=outcome.error,
            )
            for outcome in answer.outcomes
        ],
    )


def _user(message: model_pb2.UserInput, loaded: LoadedRelease, items: int) -> UserHistory:
    _rows("user.history_rows", message.history_rows, len(loaded))
    for name in _AROUND:
        around = getattr(message, name)
        _rows(f"user.{name}.rows", around.rows, len(loaded) + MOST_LIVE_ITEMS)
        if not np.isfinite(around.weights).all():
            raise InvalidArgument(f"user.{name}.weights", "not all are finite")
    if any(not 1 <= kind <= max(EventKind) for kind in message.history_kinds):
        raise InvalidArgument("user.history_kinds", f"not all are within 1 to {max(EventKind)}")
    try:
        user = decode_user(message)
    except ValueError as error:
        raise InvalidArgument("user", str(error)) from None
    width = loaded.tables[Space.MF].vectors.shape[1]
    if len(user.factors) not in (0, width):
        raise InvalidArgument("user.factors", f"{len(user.factors)} numbers, not 0 or {width}")
    for name, values in (
        ("history_ages", user.ages),
        ("history_values", user.values),
        ("factors", user.factors),
        ("request_time", np.float64(user.time)),
    ):
        if not np.isfinite(values).all():
            raise InvalidArgument(f"user.{name}", "not all are finite")
    around = {name: _below(items, getattr(user.around, name)) for name in _AROUND}
    return replace(user, around=Surroundings(**around))


def _below(items: int, weighted: WeightedRows) -> WeightedRows:
    known = weighted.rows < items
    if known.all():
        return weighted
    return WeightedRows(weighted.rows[known], weighted.weights[known])


def _exclude(request: pb.RetrieveRequest) -> NDArray[np.uint32]:
    """The excluded rows as they were sent.

    Raises:
        InvalidArgument: the bytes are no whole numbers.
    """
    size = len(request.exclude)
    if size % _ROW.itemsize:
        raise InvalidArgument("exclude", f"{size} bytes are no whole number of rows")
    return np.frombuffer(request.exclude, _ROW)


def _excluded(request: pb.RetrieveRequest, items: int) -> NDArray[np.uint32]:
    rows = _exclude(request)
    if (rows[1:] <= rows[:-1]).any():
        raise InvalidArgument("exclude", "the rows are not strictly increasing")
    if len(rows) and rows[-1] >= items:
        raise InvalidArgument("exclude", f"row {rows[-1]} is not within 0 to {items - 1}")
    return rows


def _rows(field: str, rows: Sequence[int], items: int) -> NDArray[np.int64]:
    array = np.array(rows, dtype=np.int64)
    if len(array) and array.max() >= items:
        raise InvalidArgument(field, f"row {array.max()} is not within 0 to {items - 1}")
    return array
