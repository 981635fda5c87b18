"""What is a user's own, and friends: made again from the event log, against what was logged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.friends import friends_items
from models.history import UserHistory
from services.features.events import Event
from services.features.past import COMMIT_SECONDS, PastLog, Span
from services.orchestrator.clients import UserFeatures
from services.orchestrator.hydrators import with_user
from services.orchestrator.rules import event_kinds
from services.orchestrator.seen import SeenItems
from training.skew.differences import WEIGHT_TOLERANCE, apart, padded, places, weights_apart
from training.skew.findings import Parity
from training.skew.logged import Asked
from training.skew.past_users import known_features, profile_of, weighted


@dataclass(frozen=True)
class Known:
    """What of a request was made again: the user without surroundings."""

    features: UserFeatures
    user: UserHistory


def compare_features(past: PastLog, asked: Asked, found: Parity) -> Known | None:
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
    skews["history_rows"].add(request_id, places(made.rows, logged.rows))
    skews["history_kinds"].add(request_id, places(made.kinds, logged.kinds, lengths=False))
    skews["history_ages"].add(request_id, apart(made.ages, logged.ages))
    skews["history_values"].add(request_id, apart(made.values, logged.values))
    skews["region"].add(request_id, float(made.region != logged.region))
    skews["device"].add(request_id, float(made.device != logged.device))
    skews["factors"].add(request_id, apart(*padded(made.factors, logged.factors)))
    friends = min(
        weights_apart(each.around.friends, logged.around.friends)
        for each in _with_friends(past, asked, features, profile.friends)
    )
    skews["friends"].add(request_id, friends, WEIGHT_TOLERANCE)
    later = with_user(asked.query, features, _seen(asked, user.until(asked.span.end)))
    skews["seen"].add(request_id, _seen_apart(query.seen_rows, later.seen_rows, asked))
    return Known(features, made)


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
