"""Hydrators: what is known of the user, and of the candidates."""

from collections import OrderedDict
from collections.abc import Set
from dataclasses import replace

import numpy as np

from models.history import HISTORY_LENGTH, Surroundings, UserHistory, WeightedRows
from services.common.erased import user_hash
from services.orchestrator.candidates import KnownSession, Query
from services.orchestrator.clients import FeaturesClient, UserFeatures, WeightedItems
from services.orchestrator.pipeline import Level


class UserHydrator:
    """Reads the user's live session and profile: one call.

    When the features service is down, the last features it gave for the user stand in, so that
    items the user is known to have seen stay out.
    """

    level_when_lost = Level.NO_SESSION

    def __init__(self, features: FeaturesClient, remember: int) -> None:
        self._features = features
        self._remember = remember
        self._last_known: OrderedDict[str, UserFeatures] = OrderedDict()

    async def hydrate(self, query: Query) -> Query:
        known = await self._features.user_features(
            query.user_id,
            query.release.release_id,
            query.as_of,
            query.budget.share(0.4, at_most=1.0),
            region=query.region,
            trend_half_life_days=query.release.manifest.config.get("trend_half_life_days", 0.0),
        )
        self._last_known[query.user_id] = known
        self._last_known.move_to_end(query.user_id)
        if len(self._last_known) > self._remember:
            self._last_known.popitem(last=False)
        return with_user(query, known)

    def forget(self, hashes: Set[str]) -> None:
        """Drops what is remembered of users, by the hashes of their ids: they were erased."""
        for user_id in [user for user in self._last_known if user_hash(user) in hashes]:
            del self._last_known[user_id]

    def without(self, query: Query) -> Query:
        known = self._last_known.get(query.user_id, UserFeatures())
        return with_user(query, replace(known, version=0))


def with_user(query: Query, known: UserFeatures) -> Query:
    """The query with model input and seen rows, from stored features and the request's own events.

    Events on items that the release was trained without, and events after `as_of`, are left out;
    seen is everything.
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
    seen = items.rows(list(known.seen_item_ids))
    own_rows = items.rows([event.item_id for event in query.recent_events])
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
        seen_rows=np.union1d(seen, own_rows).astype(np.int32),
    )


def _weighted(query: Query, found: WeightedItems) -> WeightedRows:
    """Rows of those items that the catalogue holds, live ones too."""
    row_of = query.catalogue.items.row_of
    rows = np.array([row_of.get(item_id, -1) for item_id in found.item_ids], dtype=np.int32)
    held = rows >= 0
    return WeightedRows(rows[held], found.weights[held])
