"""Runs the sources of one request in parallel, each within the deadline, and merges the answers."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import Counter, Histogram

from services.common.errors import DomainError, InvalidArgument
from services.retrieval.merge import Merged, Quota, merge
from services.retrieval.query import Query
from services.retrieval.sources import Source
from services.retrieval.vectors import Found

FOUND = Counter("tandem_retrieval_candidates", "Candidates found.", ["source"])
FAILED = Counter("tandem_retrieval_source_failures", "Sources that failed.", ["source"])
SECONDS = Histogram(
    "tandem_retrieval_source_seconds",
    "Wall time of candidate sources.",
    ["source"],
    buckets=[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5],
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceOutcome:
    """What became of one source.

    Attributes:
        name: the source.
        found: what it found; nothing when it failed.
        millis: wall time.
        error: what failed, or empty.
    """

    name: str
    found: Found
    millis: float
    error: str


@dataclass(frozen=True)
class Retrieved:
    """An answer: the merged candidates, and what became of every source that ran."""

    merged: Merged
    outcomes: Sequence[SourceOutcome]


class Retriever:
    """The retrieval stage.

    Args:
        sources: all candidate sources, by falling importance.
        quotas: by source name, its part in the merged list.

    Raises:
        ValueError: a source has no quota, a quota no source, or the shares exceed the whole list.
    """

    def __init__(self, sources: Sequence[Source], quotas: Mapping[str, Quota]) -> None:
        names = {source.name for source in sources}
        if names != quotas.keys():
            raise ValueError(f"quotas: {sorted(quotas)}, but the sources are {sorted(names)}")
        if sum(quota.share for quota in quotas.values()) > 1:
            raise ValueError("quotas: the shares sum to more than 1")
        self._sources = sources
        self._quotas = quotas

    def select(self, names: Sequence[str]) -> Sequence[Source]:
        """The sources with these names; all of them for no name.

        Raises:
            InvalidArgument: there is no such source.
        """
        known = [source.name for source in self._sources]
        for name in names:
            if name not in known:
                raise InvalidArgument("sources", f"no source {name!r}; one of {', '.join(known)}")
        return [source for source in self._sources if not names or source.name in names]

    async def retrieve(self, query: Query, sources: Sequence[Source]) -> Retrieved:
        """Never fails because a source does."""
        outcomes = await asyncio.gather(*(_run(source, query) for source in sources))
        found = {outcome.name: outcome.found for outcome in outcomes}
        return Retrieved(merge(found, self._quotas, query.count), outcomes)


async def _run(source: Source, query: Query) -> SourceOutcome:
    started = time.perf_counter()
    found, error = Found.nothing(), ""
    try:
        async with asyncio.timeout(query.seconds):
            found = await source.fetch(query)
    except TimeoutError:
        error = "deadline"
    except DomainError as failure:
        error = str(failure)
    except Exception:
        log.exception("source failed", extra={"source": source.name})
        error = "internal error"
    seconds = time.perf_counter() - started
    SECONDS.labels(source.name).observe(seconds)
    FOUND.labels(source.name).inc(len(found))
    if error:
        FAILED.labels(source.name).inc()
    return SourceOutcome(source.name, found, seconds * 1e3, error)
