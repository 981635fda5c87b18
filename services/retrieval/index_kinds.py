"""The kinds of Milvus index that are used, and the parameters each is built and searched with."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isqrt
from typing import Any


class IndexKind(StrEnum):
    FLAT = "FLAT"
    """Exact search. The right one up to about 100,000 items."""

    IVF_FLAT = "IVF_FLAT"
    """Inverted lists; what Milvus Lite has for large catalogues."""

    HNSW = "HNSW"
    """A navigable small-world graph (Malkov & Yashunin 2016). Not in Milvus Lite."""

    def build_params(self, items: int) -> dict[str, int]:
        """Parameters of building over so many items."""
        if self is IndexKind.HNSW:
            return {"M": 32, "efConstruction": 200}
        if self is IndexKind.IVF_FLAT:
            return {"nlist": _lists(items)}
        return {}

    def efforts(self) -> Sequence[int]:
        """Search efforts to try until recall is high enough, cheapest first."""
        return {IndexKind.FLAT: (1,), IndexKind.IVF_FLAT: (1, 4, 16), IndexKind.HNSW: (1, 2, 4, 8)}[
            self
        ]


@dataclass(frozen=True)
class IndexPolicy:
    """Which index a new collection gets, and how good it must be.

    Attributes:
        kind: the index; None chooses by size and server.
        flat_up_to: items up to which None means FLAT.
        least_recall: recall against exact search below which a collection is refused.
    """

    kind: IndexKind | None = None
    flat_up_to: int = 100_000
    least_recall: float = 0.99

    def kinds(self, items: int, *, lite: bool) -> Sequence[IndexKind]:
        """Kinds to try, the preferred one first, until one reaches `least_recall`."""
        if self.kind is not None:
            return (self.kind,)
        if items <= self.flat_up_to:
            return (IndexKind.FLAT,)
        # Milvus Lite decides by itself how many lists it searches, so IVF may fall short there.
        return (IndexKind.IVF_FLAT, IndexKind.FLAT) if lite else (IndexKind.HNSW,)


@dataclass(frozen=True)
class SearchPlan:
    """How one collection is searched.

    Attributes:
        kind: its index.
        effort: one of the kind's `efforts`.
        items: rows in the collection.
    """

    kind: IndexKind
    effort: int
    items: int

    def search_params(self, count: int) -> dict[str, Any]:
        """Parameters of a search for `count` hits."""
        params: dict[str, int] = {}
        if self.kind is IndexKind.HNSW:
            params = {"ef": min(32_768, max(64, count * self.effort))}
        elif self.kind is IndexKind.IVF_FLAT:
            lists = _lists(self.items)
            params = {"nprobe": max(1, lists * self.effort // 16)}
        return {"metric_type": "IP", "params": params}


def _lists(items: int) -> int:
    """4 √n inverted lists, what the Milvus manual recommends, within its limits."""
    return max(1, min(65_536, 4 * isqrt(items)))
