"""Logged requests, as what was known when they were answered."""

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from sqlalchemy import Engine

from models.history import UserHistory
from models.release import Release, ReleaseError
from services.common.deadlines import Budget
from services.common.errors import DomainError
from services.common.live_items import LiveItemTable
from services.common.model_input import decode_user
from services.common.slates import ServedSlate, SlateLog
from services.features.past import Span
from services.orchestrator.candidates import Query
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.pipeline import Level
from services.orchestrator.rules_archive import RulesArchive
from services.orchestrator.rules_yaml import ActiveRules
from services.orchestrator.slate_detail import Served, decode_served

_NEVER = 3_600.0


@dataclass(frozen=True)
class Asked:
    """A logged request that can be compared.

    Attributes:
        row: its slate.
        served: as it was logged.
        query: before hydration.
        logged: what the models read.
        span: when it was answered.
    """

    row: ServedSlate
    served: Served
    query: Query
    logged: UserHistory
    span: Span

    @property
    def as_of(self) -> float:
        """Unix seconds, infinite without a bound."""
        return self.query.as_of or math.inf


@dataclass
class Logged:
    """The last requests of the log.

    Attributes:
        requests: that were looked at.
        asked: those that can be compared.
        skipped: how many cannot, by reason.
    """

    requests: int = 0
    asked: list[Asked] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def last_requests(engine: Engine, releases: Path, requests: int) -> Logged:
    """Reads the newest requests whose details are kept.

    Args:
        engine: database of all logs; is only read.
        releases: folder of releases.
        requests: how many at most.
    """
    found, answered_by = Logged(), _AnsweredBy(engine, releases)
    for row in SlateLog(engine).last(requests):
        found.requests += 1
        try:
            found.asked.append(_asked(row, answered_by))
        except _SkippedError as why:
            found.skipped[str(why)] += 1
        except (DomainError, ValueError):
            found.skipped["damaged"] += 1
    return found


class _SkippedError(Exception):
    """A request cannot be compared; the text is the reason."""


class _AnsweredBy:
    """Rules and catalogues that requests were answered by; each is read once.

    Args:
        engine: database of rules and live items.
        releases: folder of releases.
    """

    def __init__(self, engine: Engine, releases: Path) -> None:
        self._archive = RulesArchive(engine)
        self._live = tuple(LiveItemTable(engine).changes_since(0))
        self._releases = releases
        self._release = cache(self._read_release)
        self.rules = cache(self._rules)
        self.catalogue = cache(self._catalogue)

    def _rules(self, digest: str) -> ActiveRules:
        text = self._archive.get(digest)
        if text is None:
            raise _SkippedError("no rules")
        return ActiveRules.of(text)

    def _catalogue(self, release_id: str, live_items: int) -> Catalogue:
        release = self._release(release_id)
        if release is None:
            raise _SkippedError("no release")
        try:
            return Catalogue.of(release).with_live(self._live[:live_items])
        except (ReleaseError, OSError):
            raise _SkippedError("no release") from None

    def _read_release(self, release_id: str) -> Release | None:
        try:
            return Release(self._releases / release_id)
        except (ReleaseError, OSError):
            return None


def _asked(row: ServedSlate, answered_by: _AnsweredBy) -> Asked:
    if row.level != Level.FULL.name or row.detail is None:
        raise _SkippedError(f"level {row.level}")
    served = decode_served(row.detail)
    message = served.message
    rules = answered_by.rules(message.rules_digest)
    catalogue = answered_by.catalogue(row.release_id, message.live_items)
    query = _with_times(served.query(catalogue, rules, Budget.of(_NEVER)), served)
    took = sum(message.stage_millis.values()) / 1e3
    span = Span(row.served_at - took, row.served_at)
    return Asked(row, served, query, decode_user(message.user), span)


def _with_times(query: Query, served: Served) -> Query:
    """With the times that events without one were given then."""
    events = [
        event if sent.HasField("timestamp") else replace(event, timestamp=query.time)
        for event, sent in zip(
            query.recent_events, served.message.request.recent_events, strict=True
        )
    ]
    return replace(query, user=None, recent_events=tuple(events))
