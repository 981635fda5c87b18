"""How far what is served has moved from what was learnt, by the population stability index (PSI).

    PSI = sum over bins (p - q) ln(p / q)

with the shares p of training and q of serving, in bins that hold a tenth of training each, or one
category. Below .1 nothing has moved; above .25 a model may be at work on what it does not know.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from models.final_score import release_scorer
from models.friends import friends_items
from models.history import UserHistory
from models.release import Release
from services.common.deadlines import Budget
from services.features.past import PastLog
from services.orchestrator.candidates import Query
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.hydrators import with_user
from services.orchestrator.seen import SeenItems
from training.skew.past_trends import PastTrends, half_life
from training.skew.past_users import known_features, profile_of, weighted

DRIFTED = 0.25
"""A PSI above this is flagged."""

LEAST_USERS = 100
"""Of fewer histories on either side, a PSI is mostly noise, and never flagged."""

_BINS = 10
_CATEGORIES = 20
_LEAST_SHARE = 1e-4
_SCORED_ITEMS = 50
_SEED = 0


@dataclass(frozen=True)
class Drift:
    """One feature of one release, or its scores.

    Attributes:
        release_id: the release.
        feature: name.
        psi: population stability index.
        training, serving: histories behind it.
        drifted: whether that is to be flagged.
    """

    release_id: str
    feature: str
    psi: float
    training: int
    serving: int
    drifted: bool


def drift_of(
    engine: Engine, release: Release, served: Sequence[UserHistory], sample: int
) -> list[Drift]:
    """Compares what a release learnt from with what it was asked.

    Args:
        engine: database of the event log; is only read.
        release: the release.
        served: what the models read in its requests.
        sample: how many moments of the log before the release's cut-off are drawn.

    Raises:
        ReleaseError: the release cannot score.
    """
    learnt = training_users(engine, release, sample)
    scorer = release_scorer(release)
    n_items = len(release.items)
    rng = np.random.default_rng(_SEED)
    asked = np.sort(rng.permutation(n_items)[:_SCORED_ITEMS]).astype(np.int32)
    popularity = np.empty(n_items, np.int64)
    popularity[release.popular_rows] = np.arange(n_items)

    def columns(users: Sequence[UserHistory]) -> dict[str, NDArray[Any]]:
        scores = [scorer.score(user, asked) for user in users]
        return {**_columns(users, popularity), "scores": _flat(scores)}

    before, now = columns(learnt), columns(served)
    enough = min(len(learnt), len(served)) >= LEAST_USERS
    found = []
    for name, values in before.items():
        index = psi(values, now[name])
        flagged = enough and index > DRIFTED
        counts = len(learnt), len(served)
        found.append(Drift(release.release_id, name, index, *counts, flagged))
    return found


def training_users(engine: Engine, release: Release, sample: int) -> list[UserHistory]:
    """Users at random moments that a release learnt from: just before events of theirs, with what
    happened before those, by the transform of serving."""
    past = PastLog(engine)
    events = sorted(
        past.sample(sample, release.manifest.cut_off, _SEED), key=lambda event: event.timestamp
    )
    days, catalogue = half_life(release), Catalogue.of(release)
    last = events[-1].timestamp if events and days else -math.inf
    trends = PastTrends(past.blocks(by_arrival=False, until=last))
    users = list[UserHistory]()
    for event in events:
        before = float(np.nextafter(event.timestamp, 0.0))
        query = Query(
            request_id="",
            user_id=event.user_id,
            count=1,
            time=event.timestamp,
            as_of=before,
            region=event.region,
            catalogue=catalogue,
            budget=Budget.of(1.0),
        )
        known = [
            each
            for each in past.user(event.user_id).until(math.inf)
            if each.timestamp < event.timestamp
        ]
        profile = profile_of(release, past, event.user_id)
        features = known_features(profile, known, version=1)
        if profile.friends:
            friends = past.friends_events(profile.friends, before, math.inf)
            features = replace(features, friends_items=weighted(friends_items(friends)))
        if days:
            trends.count_to(before)
            features = trends.laid_over(features, days, event.region or features.region)
        user = with_user(query, features, SeenItems()).user
        assert user is not None
        users.append(user)
    return users


def psi(training: NDArray[Any], serving: NDArray[Any]) -> float:
    """Population stability index of (n,) and (m,) numbers, or texts; 0 when one side is empty."""
    if not len(training) or not len(serving):
        return 0.0
    if training.dtype == object:
        names, counts = np.unique(training.astype(str), return_counts=True)
        kept = names[np.argsort(-counts, kind="stable")[: _CATEGORIES - 1]].tolist()
        bin_of = {name: number for number, name in enumerate(kept)}
        placed = [
            np.array([bin_of.get(str(each), len(kept)) for each in side])
            for side in (training, serving)
        ]
        bins = len(kept) + 1
    else:
        edges = np.unique(np.quantile(training, np.linspace(0, 1, _BINS + 1)[1:-1]))
        # From the left, so that a value which fills several bins has one of its own.
        placed = [np.searchsorted(edges, side, side="left") for side in (training, serving)]
        bins = len(edges) + 1
    p, q = (
        np.maximum(np.bincount(side, minlength=bins) / len(side), _LEAST_SHARE) for side in placed
    )
    return float(((p - q) * np.log(p / q)).sum())


def _columns(
    users: Sequence[UserHistory], popularity: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """What is compared, by name: of each event of each history, or of each user."""
    return {
        "history_length": np.array([len(user.rows) for user in users], np.float64),
        "history_rows": _flat(popularity[user.rows] for user in users),
        "history_kinds": _flat(user.kinds for user in users).astype(str).astype(object),
        "history_ages": _flat(user.ages for user in users),
        "history_values": _flat(user.values for user in users),
        "region": np.array([user.region for user in users], object),
        "device": np.array([user.device for user in users], object),
        "factors": np.array([np.linalg.norm(user.factors) for user in users], np.float64),
        "friends": _strength([user.around.friends.weights for user in users]),
        "trend": _strength([user.around.trend.weights for user in users]),
        "trend_here": _strength([user.around.trend_here.weights for user in users]),
        "hour": np.array([user.time / 3600 % 24 for user in users], np.float64),
    }


def _strength(weights: Iterable[NDArray[np.float32]]) -> NDArray[np.float64]:
    """(b,) weight of the first item of each list."""
    return np.array([each.max(initial=0.0) for each in weights], np.float64)


def _flat(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    held = list(parts)
    return np.concatenate(held) if held else np.empty(0)
