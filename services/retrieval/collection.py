"""One Milvus collection from creation to proof: insert, index, load, count, measure recall."""

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
from pymilvus import AsyncMilvusClient, DataType, MilvusException

from services.common.errors import FailedPrecondition
from services.retrieval.index_kinds import IndexKind, SearchPlan
from services.retrieval.recall import RecallProbe
from services.retrieval.vectors import Space, VectorTable

ROW = "row"
VECTOR = "vector"
_INSERT_ROWS = 500
"""Rows an insert; small, because packing them holds up the event loop."""

_CALL_SECONDS = 60.0
"""Longest wait for one step of building; loading a large collection is the slowest."""

_SETTLE_SECONDS = 0.2
_SETTLE_TRIES = 10

log = logging.getLogger(__name__)


class IncompleteCollection(Exception):
    """A collection exists, but is not what it should be; the text says how."""


def collection_name(release_id: str, space: Space) -> str:
    """The physical collection of a release's space: letters, digits and underscores."""
    return f"tandem_{space}_{re.sub('[^A-Za-z0-9]', '_', release_id)}"


async def open_collection(
    client: AsyncMilvusClient,
    name: str,
    table: VectorTable,
    kinds: Sequence[IndexKind],
    least_recall: float,
) -> SearchPlan:
    """Makes a collection complete, loaded and proven, and says how to search it.

    A complete one is reused; an incomplete one (a crash while it was built) is built again.

    Args:
        client: a client of Milvus.
        name: the collection.
        table: what it must hold.
        kinds: indexes to build, the next one when one falls short.
        least_recall: recall against exact search that it must reach.

    Raises:
        FailedPrecondition: freshly built, it still holds the wrong rows or misses `least_recall`.
        pymilvus.MilvusException, grpc.RpcError: Milvus failed or does not answer.
    """
    if not np.isfinite(table.vectors).all():
        raise FailedPrecondition(f"collection {name}: not all item vectors are finite")
    reason = ""
    if await client.has_collection(name, timeout=_CALL_SECONDS):
        try:
            return await _prove(client, name, table, least_recall)
        except IncompleteCollection as error:
            reason = str(error)
            await client.drop_collection(name, timeout=_CALL_SECONDS)
    for kind in kinds:
        if reason:
            log.warning("collection is built again", extra={"collection": name, "reason": reason})
        await _build(client, name, table, kind)
        try:
            return await _prove(client, name, table, least_recall)
        except IncompleteCollection as error:
            reason = str(error)
            await client.drop_collection(name, timeout=_CALL_SECONDS)
    raise FailedPrecondition(f"collection {name}: {reason}")


async def _build(client: AsyncMilvusClient, name: str, table: VectorTable, kind: IndexKind) -> None:
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(ROW, DataType.INT64, is_primary=True)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=table.vectors.shape[1])
    schema.add_field("adult", DataType.BOOL)
    schema.add_field("available", DataType.BOOL)
    await client.create_collection(
        name, schema=schema, consistency_level="Bounded", timeout=_CALL_SECONDS
    )
    for start in range(0, len(table), _INSERT_ROWS):
        rows = range(start, min(start + _INSERT_ROWS, len(table)))
        await client.insert(name, [_entity(table, row) for row in rows], timeout=_CALL_SECONDS)
    await client.flush(name, timeout=_CALL_SECONDS)
    index = client.prepare_index_params()
    index.add_index(
        VECTOR, index_type=str(kind), metric_type="IP", params=kind.build_params(len(table))
    )
    await client.create_index(name, index, timeout=_CALL_SECONDS)


def _entity(table: VectorTable, row: int) -> dict[str, Any]:
    return {
        ROW: row,
        VECTOR: table.vectors[row],
        "adult": bool(table.adult[row]),
        "available": bool(table.available[row]),
    }


async def _prove(
    client: AsyncMilvusClient, name: str, table: VectorTable, least_recall: float
) -> SearchPlan:
    kind = await _load(client, name)
    await _check_rows(client, name, len(table))
    probe = await asyncio.to_thread(RecallProbe.sample, table.vectors)
    recall = 0.0
    for effort in kind.efforts():
        plan = SearchPlan(kind, effort, len(table))
        recall = await _recall(client, name, plan, probe)
        if recall >= least_recall:
            log.info("collection is searchable", extra={"collection": name, "recall": recall})
            return plan
    raise IncompleteCollection(
        f"recall@{probe.count} of {kind} is {recall:.4f} against exact search; "
        f"{least_recall} is the least"
    )


async def _load(client: AsyncMilvusClient, name: str) -> IndexKind:
    """Loads a collection; its index kind."""
    try:
        described = await client.describe_index(name, VECTOR, timeout=_CALL_SECONDS)
        kind = IndexKind(described["index_type"])
    except (MilvusException, grpc.RpcError):
        if not await client.list_indexes(name, timeout=_CALL_SECONDS):
            raise IncompleteCollection("it has no index") from None
        raise
    except (TypeError, KeyError, ValueError):
        raise IncompleteCollection("it has no index of a known kind") from None
    await client.load_collection(name, timeout=_CALL_SECONDS)
    return kind


async def _check_rows(client: AsyncMilvusClient, name: str, expected: int) -> None:
    """Waits while the row count is still growing: not all rows are searchable at once."""
    seen = -1
    for _ in range(_SETTLE_TRIES):
        counted = await client.query(
            name,
            output_fields=["count(*)"],
            consistency_level="Strong",
            timeout=_CALL_SECONDS,
        )
        seen = int(counted[0]["count(*)"])
        if seen == expected:
            return
        await asyncio.sleep(_SETTLE_SECONDS)
    raise IncompleteCollection(f"it holds {seen} rows instead of {expected}")


async def _recall(
    client: AsyncMilvusClient, name: str, plan: SearchPlan, probe: RecallProbe
) -> float:
    """Mean recall of the probe's queries, 0 to 1."""
    found = 0
    for i, query in enumerate(probe.queries):
        hits = await client.search(
            name,
            data=[query],
            limit=probe.count,
            anns_field=VECTOR,
            search_params=plan.search_params(probe.count),
            consistency_level="Bounded",
            timeout=_CALL_SECONDS,
        )
        found += probe.hits(i, np.array(hits[0].ids, dtype=np.int64))
    return found / (probe.count * len(probe.queries))
