"""Offline evaluation on the full catalogue. Settings are chosen on validation, never on the test.

`leave-last-out`: each user's last event by time is the test, the one before is validation; the
chosen setting is fitted again on all but the test events.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.baselines import (
    Baseline,
    Fitted,
    ImplicitFactors,
    ItemKnn,
    Popularity,
    RecentPopularity,
    Transitions,
)
from training.data import DataError, InteractionData, item_table
from training.metrics import TOP, RankingMetrics, rank_of_target
from training.progress import show_progress
from training.sequences import EventSequences, event_sequences
from training.tower_baseline import TwoTowerModel

PROTOCOLS = ("leave-last-out",)

_BATCH = 256
_FEWEST_EVENTS = 3  # one to learn from, one for validation, one for the test


def candidates_of(data: InteractionData) -> Mapping[str, Sequence[Baseline]]:
    """Every method by its name in reports, with the settings to choose from."""
    return {
        "two_tower": [TwoTowerModel(item_table(data))],
        "popularity": [Popularity()],
        "recent_popularity": [RecentPopularity(days) for days in (7, 30, 365)],
        "item_knn": [ItemKnn(neighbours) for neighbours in (50, 100, 300)],
        "last_item": [ItemKnn(neighbours, last=1) for neighbours in (100, 300)],
        "transitions": [Transitions(query_decay=decay) for decay in (0.4, 0.6, 0.8)],
        "ials": [ImplicitFactors(d, h) for d in (32, 64) for h in (0.0, 4.0, 10.0)],
    }


@dataclass(frozen=True)
class Fold:
    """What is known, and what is to be predicted.

    Attributes:
        train: events to learn from; also the users' histories.
        users: (b,) users with a target.
        targets: (b,) item rows.
        times: (b,) Unix seconds of the targets.
    """

    train: EventSequences
    users: NDArray[np.int64]
    targets: NDArray[np.int64]
    times: NDArray[np.float64]

    @classmethod
    def leave_out(cls, events: EventSequences, back: int) -> "Fold":
        """Holds out each user's event number `back` from the end (1 is the last) and all later
        ones; users with fewer than three events are learnt from, not tested."""
        lengths = np.diff(events.offsets)
        users = np.flatnonzero(lengths >= _FEWEST_EVENTS)
        held_out = events.offsets[users + 1] - back
        kept = np.ones(len(events), bool)
        for step in range(back):
            kept[events.offsets[users + 1] - 1 - step] = False
        return cls(
            events.select(kept),
            users,
            events.rows[held_out].astype(np.int64),
            events.times[held_out],
        )


def evaluate(data: InteractionData, protocol: str) -> dict[str, Any]:
    """Compares all models.

    Returns:
        `{"protocol", "users", "models": {name: metrics}, "settings": {name: setting}}`.

    Raises:
        DataError: the protocol is unknown, or no user has three events.
    """
    if protocol not in PROTOCOLS:
        raise DataError("evaluate", f"protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")
    events, n_items = event_sequences(data), len(data.items)
    validation, test = Fold.leave_out(events, back=2), Fold.leave_out(events, back=1)
    if not len(test.users):
        raise DataError("evaluate", f"no user has {_FEWEST_EVENTS} events")
    models: dict[str, dict[str, float]] = {}
    settings: dict[str, str] = {}
    with show_progress() as progress:
        for name, grid in candidates_of(data).items():
            chosen = _choose(grid, validation, n_items, partial(progress, name))
            fitted = chosen.fit(test.train, n_items)
            models[name] = measure(fitted, test, n_items).named()
            settings[name] = str(chosen)
    return {
        "protocol": protocol,
        "users": len(test.users),
        "models": models,
        "settings": settings,
    }


def measure(fitted: Fitted, fold: Fold, n_items: int) -> RankingMetrics:
    """Ranks every target among the items its user has not seen.

    A target the user had seen before can be ranked by no model that leaves seen items out: it
    counts as missed.
    """
    ranks, shown = [], set[int]()
    for start in range(0, len(fold.users), _BATCH):
        part = slice(start, start + _BATCH)
        users, targets = fold.users[part], fold.targets[part]
        scores = fitted.score(users, fold.times[part])
        seen = [_history(fold.train, user) for user in users]
        found = rank_of_target(scores.copy(), targets, seen)
        again = [target in rows for target, rows in zip(targets, seen, strict=True)]
        ranks.append(np.where(again, n_items, found))
        for user, rows in enumerate(seen):
            scores[user, rows] = -np.inf
        shown.update(np.argpartition(-scores, TOP, axis=1)[:, :TOP].ravel().tolist())
    return RankingMetrics.of(np.concatenate(ranks), shown, n_items)


def _choose(
    grid: Sequence[Baseline], fold: Fold, n_items: int, progress: Callable[[int, int], None]
) -> Baseline:
    best, best_ndcg = grid[0], -1.0
    for done, setting in enumerate(grid, start=1):
        if len(grid) > 1:
            ndcg = measure(setting.fit(fold.train, n_items), fold, n_items).ndcg
            if ndcg > best_ndcg:
                best, best_ndcg = setting, ndcg
        progress(done, len(grid))
    return best


def _history(events: EventSequences, user: int) -> NDArray[np.int32]:
    return events.rows[events.offsets[user] : events.offsets[user + 1]]
