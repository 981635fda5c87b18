"""Whether serving reads and scores what training would, asked of logged requests.

What the models read in each request is made again from the event log, as of the request, by the
transform that serving uses, but without any service or online store. What was logged must be equal.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from models.errors import ReportedError
from models.final_score import FinalScorer, release_scorer
from models.friends import friends_items
from models.history import Surroundings, UserHistory, WeightedRows
from models.release import Release, ReleaseError
from models.session import SESSION_LENGTH
from models.trending import LATE_SECONDS, TREND_ITEMS, TrendCounters
from services.common.deadlines import Budget
from services.common.errors import DomainError
from services.common.live_items import LiveItem, LiveItemTable
from services.common.model_input import decode_user
from services.common.slates import ServedSlate, SlateLog
from services.features.event_log import History
from services.features.events import Event
from services.features.past import COMMIT_SECONDS, Block, PastLog, Span
from services.features.release_rows import UserProfile, user_profiles
from services.features.sessions import Session
from services.features.user_table import current_profile
from services.orchestrator.candidates import Query
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.clients import UserFeatures, WeightedItems
from services.orchestrator.hydrators import with_user
from services.orchestrator.pipeline import Level
from services.orchestrator.rules import event_kinds
from services.orchestrator.rules_archive import RulesArchive
from services.orchestrator.rules_yaml import ActiveRules
from services.orchestrator.seen import SeenItems
from services.orchestrator.slate_detail import Served, decode_served

TREND_LAG_SECONDS = 5.0
"""By which the trend that a request read may be behind the log."""

SCORE_TOLERANCE = 1e-5
"""Of a score, or of 1 where the score is less: what arithmetic in another order makes of it."""

_WEIGHT_TOLERANCE = 1e-6
_MOST_STATES = 100  # of the log that the trend of one request is compared with, the newest
_SMOOTHING = 5.0  # events, as in shares of a trend
_NEVER = 3_600.0
_FEATURES = (
    "history_rows",
    "history_kinds",
    "history_ages",
    "history_values",
    "region",
    "device",
    "factors",
    "friends",
    "trend",
    "trend_here",
    "seen",
)


class SkewError(ReportedError):
    """Serving and training differ; the text names what does."""


@dataclass
class FeatureSkew:
    """How one feature was logged, against what the event log says.

    Attributes:
        name: of the feature.
        compared, differing: requests.
        largest: largest difference: of numbers and weights absolute, else places or items that
            differ.
        tolerance: what a difference must exceed to count; the largest that any request had.
        example: id of the first request that differs; empty for none.
    """

    name: str
    compared: int = 0
    differing: int = 0
    largest: float = 0.0
    tolerance: float = 0.0
    example: str = ""

    def add(self, request_id: str, difference: float, tolerance: float = 0.0) -> None:
        """Counts one request."""
        self.compared += 1
        self.largest = max(self.largest, difference)
        self.tolerance = max(self.tolerance, tolerance)
        if difference > tolerance:
            self.differing += 1
            self.example = self.example or request_id


@dataclass
class ScoreSkew:
    """Logged scores of one release, against its scorer on the logged input.

    Attributes:
        release_id: of the release.
        requests, scores: that were compared.
        skipped: scores of live items, or that are not finite.
        largest: largest difference, relative to the score where that is above 1.
        example: id of the first request beyond `SCORE_TOLERANCE`; empty for none.
    """

    release_id: str
    requests: int = 0
    scores: int = 0
    skipped: int = 0
    largest: float = 0.0
    example: str = ""


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
class Parity:
    """What came out.

    Attributes:
        requests: logged ones that were looked at.
        asked: those that were compared.
        skipped: how many were not, by reason.
        features: by name.
        scores: by release id.
    """

    requests: int = 0
    asked: list[Asked] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    features: dict[str, FeatureSkew] = field(
        default_factory=lambda: {name: FeatureSkew(name) for name in _FEATURES}
    )
    scores: dict[str, ScoreSkew] = field(default_factory=dict)

    def fault(self) -> str:
        """One line that names all that differs; empty when nothing does."""
        faults = [
            f"{each.name} differs in {each.differing} of {each.compared} requests, by up to "
            f"{each.largest:.4g} (request {each.example})"
            for each in self.features.values()
            if each.differing
        ]
        faults += [
            f"scores of release {each.release_id} differ by up to {each.largest:.4g} "
            f"(request {each.example})"
            for each in self.scores.values()
            if each.example
        ]
        return "; ".join(faults)


def parity(engine: Engine, releases: Path, requests: int) -> Parity:
    """Compares the last logged requests with the event log, and their scores with the release's.

    Args:
        engine: database of all logs; is only read.
        releases: folder of releases.
        requests: how many at most.
    """
    found = Parity()
    found.asked = list(_readable(engine, releases, requests, found))
    past = PastLog(engine)
    hydrated = [(asked, known) for asked in found.asked if (known := _own(past, asked, found))]
    _compare_trends(past, hydrated, found)
    _compare_scores(found)
    return found


def known_features(profile: UserProfile, events: Sequence[Event], version: int) -> UserFeatures:
    """What the features service would say of a user with these events, oldest first; nothing of
    what goes on around, and of what was seen."""
    session = Session.of(History(list(events[-SESSION_LENGTH:]), version))
    return UserFeatures(
        item_ids=tuple(session.item_ids),
        kinds=tuple(session.kinds),
        timestamps=tuple(session.timestamps),
        values=tuple(session.values),
        region=session.region or profile.region,
        factors=np.array(profile.factors, np.float32),
        version=version,
    )


def profile_of(release: Release, past: PastLog, user_id: str) -> UserProfile:
    """A user as the release and the user table know them."""
    row = release.user_rows.get(user_id)
    known = UserProfile(user_id) if row is None else user_profiles(release, range(row, row + 1))[0]
    return current_profile(known, past.user(user_id).standing)


def weighted(found: tuple[Sequence[str], NDArray[np.float32]]) -> WeightedItems:
    """Items and weights as the orchestrator knows them."""
    return WeightedItems(tuple(found[0]), found[1])


def half_life(release: Release) -> float:
    """Of the trend that a release is served, in days; 0 for none."""
    days: float = release.manifest.config.get("trend_half_life_days", 0.0)
    return days


class PastTrends:
    """What was on the rise, at moments that never fall.

    Args:
        blocks: events, ordered by their keys.
    """

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._block: Block | None = next(blocks, None)
        self._at = 0
        self._made: dict[tuple[float, str], WeightedItems] = {}
        self._rows: dict[tuple[int, int, int], Surroundings] = {}
        self.counters: TrendCounters[str] = TrendCounters()

    def count_to(self, key: float) -> None:
        """Counts all events up to a key."""
        while self._block is not None:
            block = self._block
            end = int(np.searchsorted(block.keys, key, side="right"))
            if end > self._at:
                part = slice(self._at, end)
                self.counters.add(block.items[part], block.regions[part], block.times[part])
                self._made.clear()
                self._rows.clear()
                self._at = end
            if end < len(block.keys):
                return
            self._block, self._at = next(self._blocks, None), 0

    def laid_over(self, known: UserFeatures, half_life_days: float, region: str) -> UserFeatures:
        """Features of a user, with what is on the rise everywhere and in a region, if it is one."""
        here = self._top(half_life_days, region) if region else known.trend_here
        return replace(known, trend=self._top(half_life_days, ""), trend_here=here)

    def rows(self, query: Query, known: UserFeatures) -> Surroundings:
        """What `with_user` makes of `laid_over`, as long as nothing more is counted."""
        key = id(query.catalogue), id(known.trend), id(known.trend_here)
        if key not in self._rows:
            only = UserFeatures(trend=known.trend, trend_here=known.trend_here)
            user = with_user(query, only, SeenItems()).user
            assert user is not None
            self._rows[key] = user.around
        return self._rows[key]

    def _top(self, half_life_days: float, region: str) -> WeightedItems:
        if (half_life_days, region) not in self._made:
            trend = self.counters.top(half_life_days, TREND_ITEMS, region)
            self._made[half_life_days, region] = WeightedItems(tuple(trend.items), trend.shares)
        return self._made[half_life_days, region]


def _readable(engine: Engine, releases: Path, requests: int, found: Parity) -> Iterator[Asked]:
    archive, live = RulesArchive(engine), tuple(LiveItemTable(engine).changes_since(0))
    catalogues: dict[tuple[str, int], Catalogue | None] = {}
    rules: dict[str, ActiveRules | None] = {}
    for row in SlateLog(engine).last(requests):
        found.requests += 1
        if row.level != Level.FULL.name or row.detail is None:
            found.skipped[f"level {row.level}"] += 1
            continue
        try:
            served = decode_served(row.detail)
            message = served.message
            if message.rules_digest not in rules:
                text = archive.get(message.rules_digest)
                rules[message.rules_digest] = None if text is None else ActiveRules.of(text)
            place = row.release_id, message.live_items
            if place not in catalogues:
                catalogues[place] = _catalogue(releases, live, catalogues, *place)
            active, catalogue = rules[message.rules_digest], catalogues[place]
            if active is None or catalogue is None:
                found.skipped["no rules" if active is None else "no release"] += 1
                continue
            query = _with_times(served.query(catalogue, active, Budget.of(_NEVER)), served)
            logged = decode_user(message.user)
        except (DomainError, ValueError):
            found.skipped["damaged"] += 1
            continue
        took = sum(message.stage_millis.values()) / 1e3
        yield Asked(row, served, query, logged, Span(row.served_at - took, row.served_at))


def _catalogue(
    releases: Path,
    live: tuple[LiveItem, ...],
    known: Mapping[tuple[str, int], Catalogue | None],
    release_id: str,
    live_items: int,
) -> Catalogue | None:
    held = next((each for (name, _), each in known.items() if name == release_id and each), None)
    try:
        release = Release(releases / release_id) if held is None else held.release
        return Catalogue.of(release).with_live(live[:live_items])
    except (ReleaseError, OSError):
        return None


def _with_times(query: Query, served: Served) -> Query:
    """With the times that events without one were given then."""
    events = [
        event if sent.HasField("timestamp") else replace(event, timestamp=query.time)
        for event, sent in zip(
            query.recent_events, served.message.request.recent_events, strict=True
        )
    ]
    return replace(query, user=None, recent_events=tuple(events))


@dataclass(frozen=True)
class _Known:
    """What of a request was made again: the user without surroundings."""

    features: UserFeatures
    user: UserHistory


def _own(past: PastLog, asked: Asked, found: Parity) -> _Known | None:
    """Compares what is the user's own, and friends; returns what else is to be compared."""
    user_id, request_id = asked.query.user_id, asked.row.request_id
    user, release = past.user(user_id), asked.query.release
    version = asked.served.message.session.version
    events = user.at_version(version, asked.span)
    if events is None or user.updated_at > asked.span.begin:
        found.skipped["changed since"] += 1
        return None
    profile = profile_of(release, past, user_id)
    features = known_features(profile, [e for e in events if e.timestamp <= asked.as_of], version)
    seen = _seen(asked, events)
    query = with_user(asked.query, features, seen)
    assert query.user is not None
    made, logged, skews = query.user, asked.logged, found.features
    skews["history_rows"].add(request_id, _places(made.rows, logged.rows))
    skews["history_kinds"].add(request_id, _places(made.kinds, logged.kinds, lengths=False))
    skews["history_ages"].add(request_id, _apart(made.ages, logged.ages))
    skews["history_values"].add(request_id, _apart(made.values, logged.values))
    skews["region"].add(request_id, float(made.region != logged.region))
    skews["device"].add(request_id, float(made.device != logged.device))
    skews["factors"].add(request_id, _apart(*_padded(made.factors, logged.factors)))
    friends = min(
        _weights_apart(each.around.friends, logged.around.friends)
        for each in _with_friends(past, asked, features, profile.friends)
    )
    skews["friends"].add(request_id, friends, _WEIGHT_TOLERANCE)
    later = with_user(asked.query, features, _seen(asked, user.until(asked.span.end)))
    skews["seen"].add(request_id, _seen_apart(query.seen_rows, later.seen_rows, asked))
    return _Known(features, made)


def _seen(asked: Asked, events: Sequence[Event]) -> SeenItems:
    """The items of events of the kinds that count, which know no bound."""
    kinds = event_kinds(asked.query.rules.seen)
    items = dict.fromkeys(e.item_id for e in events if not kinds or e.kind in kinds)
    return SeenItems.of(items, asked.query.catalogue, kinds=kinds)


def _seen_apart(least: NDArray[np.int32], most: NDArray[np.int32], asked: Asked) -> float:
    """How many rows are missing, or too many: of events of the moment, there may be some."""
    logged = np.cumsum(np.array(asked.served.message.seen_steps, np.int64))
    missing, beyond = np.setdiff1d(least, logged), np.setdiff1d(logged, np.union1d(least, most))
    return float(len(missing) + len(beyond))


def _with_friends(
    past: PastLog, asked: Asked, features: UserFeatures, friends: Sequence[str]
) -> Iterator[UserHistory]:
    """The user with what friends liked, as of each moment that the request may have read it."""
    span = Span(asked.span.begin - COMMIT_SECONDS, asked.span.end)
    moments = past.changes(span, friends) if friends else []
    for moment in (span.begin, *moments):
        items = weighted(friends_items(past.friends_events(friends, asked.as_of, moment)))
        user = with_user(asked.query, replace(features, friends_items=items), SeenItems()).user
        assert user is not None
        yield user


def _compare_trends(past: PastLog, hydrated: Sequence[tuple[Asked, _Known]], found: Parity) -> None:
    """Sweeps the log once, and keeps of each request the state that is nearest to what it read."""
    moments = _states(past, [asked.span for asked, _ in hydrated])
    wanted = sorted(
        (moment, at) for at, each in enumerate(moments) for moment in each[-_MOST_STATES:]
    )
    best = [(math.inf, math.inf)] * len(hydrated)
    slack = [(_WEIGHT_TOLERANCE, _WEIGHT_TOLERANCE)] * len(hydrated)
    until = wanted[-1][0] if wanted else -math.inf
    trends, removed = PastTrends(past.blocks(by_arrival=True, until=until)), past.removed()
    for moment, at in wanted:
        if best[at] == (0.0, 0.0):
            continue
        asked, known = hydrated[at]
        trends.count_to(moment)
        apart = _trend_apart(trends, asked, known)
        # Each list on its own: the service may have made one of them a little earlier.
        best[at] = min(apart[0], best[at][0]), min(apart[1], best[at][1])
        slack[at] = _trend_slack(trends, asked, known, removed)
    for (asked, _), each, apart, most in zip(hydrated, moments, best, slack, strict=True):
        beyond = apart[0] > most[0] or apart[1] > most[1]
        if beyond and len(each) > _MOST_STATES:  # it may have read one that was not tried
            found.skipped["trend: moved too fast"] += 1
            continue
        found.features["trend"].add(asked.row.request_id, apart[0], most[0])
        found.features["trend_here"].add(asked.row.request_id, apart[1], most[1])


def _trend_slack(
    trends: PastTrends, asked: Asked, known: _Known, removed: int
) -> tuple[float, float]:
    """By how much shares may be off, everywhere and here: each event that is gone counts one at
    most."""
    days, region = half_life(asked.query.release), known.user.region
    totals = [trends.counters.total(days, each) for each in ("", region)] if days else [0.0, 0.0]
    everywhere, here = (
        _WEIGHT_TOLERANCE + min(1.0, removed / (total + _SMOOTHING)) for total in totals
    )
    return everywhere, here


def _states(past: PastLog, spans: Sequence[Span]) -> list[list[float]]:
    """Of each request, the moments whose trend it may have read, ascending."""
    if not spans:
        return []
    begins = np.array([span.begin for span in spans]) - TREND_LAG_SECONDS
    ends = np.array([span.end for span in spans])
    changes = np.array(past.changes(Span(float(begins.min()), float(ends.max()))), np.float64)
    first, last = (np.searchsorted(changes, side, side="right") for side in (begins, ends))
    return [
        [begin, *changes[start:end].tolist()]
        for begin, start, end in zip(begins.tolist(), first.tolist(), last.tolist(), strict=True)
    ]


def _trend_apart(trends: PastTrends, asked: Asked, known: _Known) -> tuple[float, float]:
    days, features, as_of = half_life(asked.query.release), known.features, asked.query.as_of
    told = not as_of or as_of >= asked.span.end - LATE_SECONDS or trends.counters.knows(as_of)
    if days and told:
        features = trends.laid_over(features, days, known.user.region)
    around = trends.rows(asked.query, features)
    logged = asked.logged.around
    return (
        _weights_apart(around.trend, logged.trend),
        _weights_apart(around.trend_here, logged.trend_here),
    )


def _compare_scores(found: Parity) -> None:
    scorers: dict[str, FinalScorer | None] = {}
    for asked in found.asked:
        release, request_id = asked.query.release, asked.row.request_id
        if release.release_id not in scorers:
            try:
                scorers[release.release_id] = release_scorer(release)
            except ReleaseError:
                scorers[release.release_id] = None
        scorer = scorers[release.release_id]
        if scorer is None:
            found.skipped["scores: damaged release"] += 1
            continue
        skew = found.scores.setdefault(release.release_id, ScoreSkew(release.release_id))
        message = asked.served.message
        rows = np.array(message.ranked_rows, np.int32)
        boosts = np.array(message.ranked_boosts or [0.0] * len(rows), np.float32)
        scores = np.array(message.ranked_scores, np.float32) - boosts
        # What only a fallback knew may have come after ranking.
        ranked = np.isin(rows, np.array(message.found[0].rows if message.found else [], np.int32))
        whole = ranked & (rows < len(release.items)) & np.isfinite(scores)
        skew.skipped += int((ranked & ~whole).sum())
        if not whole.any():
            continue
        again = scorer.score(asked.logged, rows[whole])
        apart = float((abs(again - scores[whole]) / np.maximum(1.0, abs(again))).max())
        skew.requests += 1
        skew.scores += int(whole.sum())
        skew.largest = max(skew.largest, apart)
        if apart > SCORE_TOLERANCE and not skew.example:
            skew.example = request_id


def _places(made: NDArray[Any], logged: NDArray[Any], lengths: bool = True) -> float:
    """Places that differ, counted from the newest; with those that only one has, if wanted."""
    common = min(len(made), len(logged))
    differ = int((made[len(made) - common :] != logged[len(logged) - common :]).sum())
    return float(differ + (abs(len(made) - len(logged)) if lengths else 0))


def _apart(made: NDArray[np.float32], logged: NDArray[np.float32]) -> float:
    """The largest difference of the newest values that both have."""
    common = min(len(made), len(logged))
    differences = abs(made[len(made) - common :] - logged[len(logged) - common :])
    return float(differences.max(initial=0.0))


def _padded(
    made: NDArray[np.float32], logged: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    n = max(len(made), len(logged))
    return np.pad(made, (0, n - len(made))), np.pad(logged, (0, n - len(logged)))


def _weights_apart(made: WeightedRows, logged: WeightedRows) -> float:
    """The largest difference of weights. What a full list lacks may weigh as much as its last."""
    if np.array_equal(made.rows, logged.rows) and np.array_equal(made.weights, logged.weights):
        return 0.0
    rows = np.union1d(made.rows, logged.rows).astype(np.int32)
    one, other = made.of(rows), logged.of(rows)
    for mine, listed, theirs in ((one, made, other), (other, logged, one)):
        if len(listed) >= TREND_ITEMS:
            absent = mine == 0
            mine[absent] = np.minimum(theirs[absent], listed.weights.min())
    return float(abs(one - other).max())
