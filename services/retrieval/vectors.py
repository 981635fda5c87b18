"""The seam to the vector index: what retrieval asks of one, and an exact twin in memory."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.common.errors import Unavailable

MOST_HITS = 16_384
"""Hits a search can return; Milvus refuses more."""


class Space(StrEnum):
    """A vector space of a release. Nearness is the inner product in both."""

    TOWER = "tower"
    MF = "mf"


@dataclass(frozen=True)
class VectorTable:
    """The items of a release in one space; an item's row is its key.

    Attributes:
        vectors: (n, d) float32.
        adult: (n,) bool.
        available: (n,) bool.
    """

    vectors: NDArray[np.float32]
    adult: NDArray[np.bool_]
    available: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True)
class Found:
    """Distinct items, best first.

    Attributes:
        rows: (m,) int32 item rows.
        scores: (m,) float32, not increasing.
    """

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]

    @classmethod
    def nothing(cls) -> "Found":
        return cls(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))

    @classmethod
    def best(
        cls, rows: NDArray[np.int32], scores: NDArray[np.float32], count: int | None = None
    ) -> "Found":
        """Sorts by score, ties by row, so that equal requests get equal answers."""
        order = np.lexsort((rows, -scores))[:count]
        return cls(rows[order], scores[order])

    def __len__(self) -> int:
        return len(self.rows)


class VectorIndex(Protocol):
    """Nearest items by inner product, for several releases side by side."""

    async def prepare(self, release_id: str, tables: Mapping[Space, VectorTable]) -> int:
        """Makes a release searchable, whole and checked. Idempotent.

        Returns:
            The number of items searchable in every space.

        Raises:
            Unavailable: the index does not answer; it goes on trying, as `hold` does.
            FailedPrecondition: the index is not as good as it must be; the text says how.
        """

    def hold(self, release_id: str, tables: Mapping[Space, VectorTable]) -> None:
        """Like `prepare`, but in the background and for as long as it takes."""

    async def search(
        self,
        release_id: str,
        space: Space,
        query: NDArray[np.float32],
        count: int,
        timeout: float,
    ) -> Found:
        """The `count` items (`MOST_HITS` at most) with the largest inner product with `query`.

        Args:
            release_id: a release that was prepared or is held.
            space: the space to search in.
            query: (d,) vector.
            count: hits wanted.
            timeout: seconds to answer in.

        Raises:
            Unavailable: the index is down or slow, or the release not searchable yet.
        """

    def forget(self, release_id: str) -> None:
        """Stops looking after a release; what the index stores stays."""

    async def drop(self, release_id: str) -> None:
        """Forgets a release and deletes what the index stores of it."""

    async def stored(self, release_ids: Collection[str]) -> list[str]:
        """Those of some releases that the index stores something of.

        Raises:
            Unavailable: the index does not answer.
        """

    async def close(self) -> None:
        """Closes the connection."""


def exact_search(vectors: NDArray[np.float32], query: NDArray[np.float32], count: int) -> Found:
    """Exact nearest items by inner product: one (n, d) matrix product and a partial sort."""
    scores: NDArray[np.float32] = (vectors @ query).astype(np.float32)
    count = min(count, len(scores))
    if count == 0:
        return Found.nothing()
    rows = np.argpartition(-scores, count - 1)[:count].astype(np.int32)
    return Found.best(rows, scores[rows])


class ExactIndex:
    """A `VectorIndex` in memory. What Milvus finds is held against it."""

    def __init__(self) -> None:
        self._tables: dict[str, Mapping[Space, VectorTable]] = {}

    async def prepare(self, release_id: str, tables: Mapping[Space, VectorTable]) -> int:
        self.hold(release_id, tables)
        return min(map(len, tables.values()))

    def hold(self, release_id: str, tables: Mapping[Space, VectorTable]) -> None:
        self._tables[release_id] = tables

    async def search(
        self,
        release_id: str,
        space: Space,
        query: NDArray[np.float32],
        count: int,
        timeout: float,
    ) -> Found:
        tables = self._tables.get(release_id)
        if tables is None:
            raise Unavailable(f"release {release_id} is not searchable yet")
        return exact_search(tables[space].vectors, query, min(count, MOST_HITS))

    def forget(self, release_id: str) -> None:
        self._tables.pop(release_id, None)

    async def drop(self, release_id: str) -> None:
        self.forget(release_id)

    async def stored(self, release_ids: Collection[str]) -> list[str]:
        return [each for each in release_ids if each in self._tables]

    async def close(self) -> None:
        self._tables.clear()
