"""The adapter to Milvus: a server by URI, or Milvus Lite run as a server. Nothing else calls it."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from itertools import chain, repeat
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from pymilvus import AsyncMilvusClient, MilvusException

from services.common.errors import FailedPrecondition, Unavailable
from services.retrieval.collection import VECTOR, collection_name, open_collection
from services.retrieval.index_kinds import IndexPolicy, SearchPlan
from services.retrieval.vectors import MOST_HITS, Found, Space, VectorTable

_CONNECT_SECONDS = 5.0
_LOG_EVERY = 10
"""Attempts to reach Milvus between two log lines."""

_FAILURES = (MilvusException, grpc.RpcError)

log = logging.getLogger(__name__)


class MilvusIndex:
    """A `VectorIndex` in Milvus: one physical collection a release and space, no aliases.

    When Milvus goes away, searches fail at once, while a background task waits for it, loads or
    rebuilds every collection that is held, and lets searches through again. (After a restart of
    Milvus, collections exist but are not loaded.)

    Args:
        uri: "http://host:port".
        token: token or "user:password"; empty for none.
        policy: which index new collections get, and how good it must be.
    """

    def __init__(self, uri: str, *, token: str = "", policy: IndexPolicy | None = None) -> None:
        # Milvus's client logs a traceback at every failed call; ours are logged once, below.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        self._client = AsyncMilvusClient(
            uri=uri, token=token, dedicated=True, timeout=_CONNECT_SECONDS
        )
        self._uri = uri
        self._policy = policy or IndexPolicy()
        self._held: dict[str, VectorTable] = {}
        self._plans: dict[str, SearchPlan] = {}
        self._connecting = asyncio.Lock()
        self._opening: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._recovery: asyncio.Task[None] | None = None

    async def prepare(self, release_id: str, tables: Mapping[Space, VectorTable]) -> int:
        named = {collection_name(release_id, space): table for space, table in tables.items()}
        self._held |= named
        outcomes = await asyncio.gather(
            *(self._ensure(name, table) for name, table in named.items()), return_exceptions=True
        )
        for failure in outcomes:
            if failure is not None:
                self._recover_in_background()
                raise failure
        return min(map(len, tables.values()))

    def hold(self, release_id: str, tables: Mapping[Space, VectorTable]) -> None:
        for space, table in tables.items():
            self._held[collection_name(release_id, space)] = table
        self._recover_in_background()

    async def search(
        self,
        release_id: str,
        space: Space,
        query: NDArray[np.float32],
        count: int,
        timeout: float,
    ) -> Found:
        name = collection_name(release_id, space)
        plan = self._plans.get(name)
        if plan is None:
            if name in self._held:
                self._recover_in_background()
            raise Unavailable(f"collection {name} is not searchable yet")
        limit = min(count, MOST_HITS, plan.items)
        try:
            async with asyncio.timeout(timeout):
                hits = await self._search(name, plan, query, limit)
        except TimeoutError:
            raise Unavailable(f"Milvus at {self._uri}: no answer in {timeout:.3f} s") from None
        except _FAILURES as error:
            log.warning("search failed", extra={"collection": name, "reason": _brief(error)})
            self._plans.clear()
            self._recover_in_background()
            raise self._unavailable(error) from None
        rows = np.array(hits[0].ids, dtype=np.int32)
        return Found.best(rows, np.array(hits[0].distances, dtype=np.float32))

    def forget(self, release_id: str) -> None:
        for space in Space:
            name = collection_name(release_id, space)
            self._held.pop(name, None)
            self._plans.pop(name, None)

    async def drop(self, release_id: str) -> None:
        self.forget(release_id)
        for space in Space:
            try:
                await self._client.drop_collection(
                    collection_name(release_id, space), timeout=_CONNECT_SECONDS
                )
            except _FAILURES as error:
                raise self._unavailable(error) from None

    async def stored(self, release_ids: Collection[str]) -> list[str]:
        if not release_ids:
            return []
        try:
            names = set(await self._client.list_collections(timeout=_CONNECT_SECONDS))
        except _FAILURES as error:
            raise self._unavailable(error) from None
        return [
            each
            for each in release_ids
            if not names.isdisjoint(collection_name(each, space) for space in Space)
        ]

    async def close(self) -> None:
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        await self._client.close()

    async def _search(
        self,
        name: str,
        plan: SearchPlan,
        query: NDArray[np.float32],
        limit: int,
        timeout: float | None = None,
    ) -> Any:
        # Never "Strong": it waits for Milvus's clock, 200 ms a search.
        return await self._client.search(
            name,
            data=[query],
            limit=limit,
            anns_field=VECTOR,
            search_params=plan.search_params(limit),
            consistency_level="Bounded",
            timeout=timeout,
        )

    async def _ensure(self, name: str, table: VectorTable) -> None:
        """Opens a collection, unless it was and still answers: a proof takes seconds under load."""
        if not await self._answers(name, table):
            await self._open(name, table)

    async def _answers(self, name: str, table: VectorTable) -> bool:
        plan = self._plans.get(name)
        if plan is None:
            return False
        try:
            await self._search(name, plan, table.vectors[0], 1, timeout=_CONNECT_SECONDS)
        except _FAILURES:
            return False  # gone, or not loaded since Milvus started again
        return True

    async def _open(self, name: str, table: VectorTable) -> None:
        before = self._plans.get(name)
        async with self._opening[name]:
            if self._plans.get(name) is not before:
                return  # proven by somebody else while this call waited
            try:
                kinds = self._policy.kinds(len(table), lite=await self._is_lite())
                self._plans[name] = await open_collection(
                    self._client, name, table, kinds, self._policy.least_recall
                )
            except FailedPrecondition:
                self._held.pop(name, None)
                raise
            except _FAILURES as error:
                raise self._unavailable(error) from None

    async def _is_lite(self) -> bool:
        """Milvus Lite answers most calls, but does not know its own version."""
        try:
            async with self._connecting:  # the first call connects
                await self._client.get_server_version(timeout=_CONNECT_SECONDS)
        except grpc.RpcError as error:
            if _code(error) is grpc.StatusCode.UNIMPLEMENTED:
                return True
            raise
        return False

    def _unavailable(self, error: Exception) -> Unavailable:
        return Unavailable(f"Milvus at {self._uri}: {_brief(error)}")

    def _recover_in_background(self) -> None:
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        waits = chain((0.1, 0.2, 0.4), repeat(0.5))
        failures = 0
        while missing := [name for name in self._held if name not in self._plans]:
            name = missing[0]
            try:
                await self._open(name, self._held[name])
            except FailedPrecondition as error:
                log.error("collection refused", extra={"collection": name, "reason": str(error)})
            except Unavailable as error:
                if failures % _LOG_EVERY == 0:
                    log.warning("waiting for Milvus", extra={"reason": str(error)})
                failures += 1
                await asyncio.sleep(next(waits))
        log.info("all collections are searchable", extra={"collections": len(self._plans)})


def _code(error: Any) -> Any:
    return error.code() if callable(error.code) else error.code


def _brief(error: Exception) -> str:
    """One line, without the client's wrapping."""
    if isinstance(error, MilvusException):
        return str(error.message).splitlines()[0] if error.message else str(error.code)
    details = error.details() if isinstance(error, grpc.RpcError) else ""
    return str(details) or repr(error)
