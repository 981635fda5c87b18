"""Hydrators: what is known of the user, and of the candidates."""

from collections.abc import Set
from dataclasses import replace

import numpy as np

from models.history import HISTORY_LENGTH, Surroundings, UserHistory, WeightedRows
from services.orchestrator.candidates import KnownSession, Query
from services.orchestrator.clients import FeaturesClient, UserFeatures, WeightedItems
from services.orchestrator.known_users import KnownUsers
from services.orchestrator.pipeline import Level
from services.orchestrator.rules import event_kinds
from services.orchestrator.seen import SeenItems, union


class UserHydrator:
    """Reads the user's live session and profile: one call.

    When the features service is down, the last features it gave for the user stand in, so that
    items the user is known to have seen stay out. When it is there, it sends only what the user saw
    since then, if it can.

    Args:
        features: the service.
        remember: users whose last known features are kept.
    """

    level_when_lost = Level.NO_SESSION

    def __init__(self, features: FeaturesClient, remember: int) -> None:
        self._features = features
        self._last_known = KnownUsers(remember)

    async def hydrate(self, query: Query) -> Query:
        # Taken now: while the service answers, other requests may change what is remembered.
        before = self._seen_before(query)
        known = await self._features.user_features(
            query.user_id,
            query.release.release_id,
            query.as_of,
            query.budget.share(0.4, at_most=1.0),
            region=query.region,
            trend_half_life_days=query.release.manifest.config.get("trend_half_life_days", 0.0),
            seen_kinds=before.kinds,
            seen_since_version=before.version,
        )
        if known.seen_is_increment:
            seen = before.plus(known.seen_item_ids, query.catalogue, known.version)
        else:
            seen = SeenItems.of(known.seen_item_ids, query.catalogue, known.version, before.kinds)
        self._last_known.put(query.user_id, known, seen)
        return with_user(query, known, seen)

    def forget(self, hashes: Set[str]) -> None:
        """Drops what is remembered of users, by the hashes of their ids: they were erased."""
        self._last_known.forget(hashes)

    def without(self, query: Query) -> Query:
        features = self._last_known.get(query.user_id).features
        return with_user(query, replace(features, version=0), self._seen_before(query))

    def _seen_before(self, query: Query) -> SeenItems:
        """What is remembered of the seen items, by the kinds that count for the request."""
        seen, kinds = self._last_known.get(query.user_id).seen, event_kinds(query.rules.seen)
        return seen if seen.kinds == kinds else SeenItems(kinds=kinds)


def with_user(query: Query, known: UserFeatures, seen: SeenItems) -> Query:
    """The query with model input and seen rows, from stored features and the request's own events.

    Events on items that the release was trained without, and events after `as_of`, are left out;
    seen is everything, of the kinds of events that count.
    """
    items, row_of = query.catalogue.items, query.release.items.row_of
    newest = query.as_of or float("inf")
    events = [
        (timestamp, row_of[item_id], kind, value)
        for item_id, kind, timestamp, value in zip(
            known.item_ids, known.kinds, known.timestamps, known.values, strict=True
        )
        if item_id in row_of and timestamp <= newest
    ]
    own = [
        (event.timestamp, row_of[event.item_id], int(event.kind), event.value)
        for event in query.recent_events
        if event.item_id in row_of and event.timestamp <= newest
    ]
    if own:
        events = sorted(events + own, key=lambda event: event[0])
    events = events[-HISTORY_LENGTH:]
    own_seen = items.rows(
        [
            event.item_id
            for event in query.recent_events
            if not seen.kinds or event.kind in seen.kinds
        ]
    )
    user = UserHistory(
        rows=np.array([row for _, row, _, _ in events], dtype=np.int32),
        kinds=np.array([kind for _, _, kind, _ in events], dtype=np.int8),
        ages=np.array([max(0.0, query.time - at) for at, _, _, _ in events], dtype=np.float32),
        values=np.array([value for _, _, _, value in events], dtype=np.float32),
        time=query.time,
        region=query.region or known.region,
        device=query.device,
        factors=known.factors if known.factors is not None else np.empty(0, np.float32),
        around=Surroundings(
            friends=_weighted(query, known.friends_items),
            trend=_weighted(query, known.trend),
            trend_here=_weighted(query, known.trend_here),
        ),
    )
    return replace(
        query,
        user=user,
        session=KnownSession(
            known.version, len(known.timestamps), max(known.timestamps, default=None)
        ),
        seen_rows=union(seen.within(query.catalogue).rows, own_seen),
    )


def _weighted(query: Query, found: WeightedItems) -> WeightedRows:
    """Rows of those items that the catalogue holds, live ones too."""
    row_of = query.catalogue.items.row_of
    rows = np.array([row_of.get(item_id, -1) for item_id in found.item_ids], dtype=np.int32)
    held = rows >= 0
    return WeightedRows(rows[held], found.weights[held])
