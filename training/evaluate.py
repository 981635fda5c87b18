"""Offline evaluation on the full catalogue. Settings are chosen on validation, never on the test;
the chosen one is fitted again on all that the test may know."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from training.baselines import GRIDS, Baseline
from training.data import DataError, InteractionData, item_table
from training.progress import show_progress
from training.protocols import PROTOCOLS, Fold
from training.ranks import Ranked, rank_targets
from training.sequences import event_sequences
from training.tower_baseline import TwoTowerModel


def candidates_of(data: InteractionData) -> Mapping[str, Sequence[Baseline]]:
    """Every method by its name in reports, with the settings to choose from."""
    return {"two_tower": [TwoTowerModel(item_table(data))], **GRIDS}


def evaluate(data: InteractionData, protocol: str) -> dict[str, Any]:
    """Compares all models.

    Returns:
        `{"protocol", "users", "models": {name: metrics}, "settings": {name: setting}}`.

    Raises:
        DataError: the protocol is unknown, or finds nothing to predict.
    """
    if protocol not in PROTOCOLS:
        raise DataError("evaluate", f"protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")
    split, n_items = PROTOCOLS[protocol](event_sequences(data)), len(data.items)
    if not len(split.test.queries):
        raise DataError("evaluate", f"{protocol} finds no event to predict in this log")
    models: dict[str, dict[str, float]] = {}
    settings: dict[str, str] = {}
    with show_progress() as progress:
        for name, grid in candidates_of(data).items():
            chosen = _choose(grid, split.validation, n_items, partial(progress, name))
            models[name] = measure(chosen, split.test, n_items).metrics().named()
            settings[name] = str(chosen)
    return {
        "protocol": protocol,
        "users": len(np.unique(split.test.queries.users)),
        "models": models,
        "settings": settings,
    }


def measure(method: Baseline, fold: Fold, n_items: int) -> Ranked:
    """Fits a method and ranks the fold's targets."""
    return rank_targets(method.fit(fold.train, n_items).score, fold.queries, n_items)


def _choose(
    grid: Sequence[Baseline], fold: Fold, n_items: int, progress: Callable[[int, int], None]
) -> Baseline:
    best, best_ndcg = grid[0], -1.0
    for done, setting in enumerate(grid, start=1):
        if len(grid) > 1:
            ndcg = measure(setting, fold, n_items).metrics().ndcg
            if ndcg > best_ndcg:
                best, best_ndcg = setting, ndcg
        progress(done, len(grid))
    return best
