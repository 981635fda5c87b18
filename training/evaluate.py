"""Offline evaluation on the full catalogue. Settings are chosen on validation, never on the test;
the chosen one is fitted again on all that the test may know."""

import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.diversity import DEFAULT_WEIGHT
from training.baselines import GRIDS, Baseline
from training.data import DataError, InteractionData, item_table
from training.figures import describe
from training.friends import Friends
from training.lift import lift
from training.progress import show_progress
from training.protocols import PROTOCOLS, Fold, Split
from training.ranks import Ranked, rank_targets
from training.sequences import event_sequences
from training.splits import thinned
from training.tandem_models import SharedFit, TandemModel, TwoTowerModel

_MOST_VALIDATED = 2_000  # questions that a setting is tried on; more hardly change the choice


def candidates_of(shared: SharedFit) -> Mapping[str, Sequence[Baseline]]:
    """Every method by its name in reports, with the settings to choose from."""
    return {
        "tandem": [TandemModel(shared, DEFAULT_WEIGHT)],
        "two_tower": [TwoTowerModel(shared)],
        **GRIDS,
    }


@dataclass(frozen=True)
class Outcome:
    """One method on the test.

    Attributes:
        setting: the one chosen.
        ranked: what it makes of the test.
        validation: `{"setting", "ndcg@10"}` of all that were tried; none when there was no choice.
        seconds: taken to `choose` the setting, to `fit` it again and to `score` the test.
    """

    setting: str
    ranked: Ranked
    validation: Sequence[Mapping[str, Any]]
    seconds: Mapping[str, float]


def evaluate(
    data: InteractionData, protocol: str, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Compares models.

    Args:
        data: the log.
        protocol: a name of `PROTOCOLS`.
        names: models to compare; None for all.

    Returns:
        The document described in docs/evaluation.md.

    Raises:
        DataError: the protocol or a model is unknown, or the log is too small for the protocol.
    """
    shared = SharedFit(item_table(data), friends=Friends.of(data.users))
    grids, split, n_items = _grids(shared, names), _split(data, protocol), len(data.items)
    outcomes: dict[str, Outcome] = {}
    taken_apart: dict[str, Any] = {}
    with show_progress() as progress:
        for name, grid in grids.items():
            outcomes[name] = _try(grid, split, n_items, partial(progress, name))
        if "tandem" in outcomes:
            fit = shared.of(split.test.train)  # trained already
            taken_apart = lift(fit, shared.config, shared.items, split.test, progress)
    queries = split.test.queries
    ranked = {name: outcome.ranked for name, outcome in outcomes.items()}
    described = describe(ranked, split.test, _genres(data))
    for name, outcome in outcomes.items():
        described["models"][name]["seconds"] = dict(outcome.seconds)
    return {
        "protocol": protocol,
        "users": len(np.unique(queries.users)),
        "questions": len(queries.questions()[0]),
        "targets": len(queries),
        "log": {
            "events": len(data.events),
            "users": len(data.users),
            "items": n_items,
            "train_events": len(split.test.train),
        },
        **described,
        **taken_apart,
        "settings": {name: outcome.setting for name, outcome in outcomes.items()},
        "validation": {
            name: list(outcome.validation)
            for name, outcome in outcomes.items()
            if outcome.validation
        },
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def measure(method: Baseline, fold: Fold, n_items: int) -> Ranked:
    """Fits a method and ranks the fold's targets."""
    return rank_targets(method.fit(fold.train, n_items).score, fold.queries, n_items)


def _grids(shared: SharedFit, names: Sequence[str] | None) -> Mapping[str, Sequence[Baseline]]:
    known = candidates_of(shared)
    if names is None:
        return known
    for name in names:
        if name not in known:
            raise DataError("evaluate", f"model {name!r} is not one of {', '.join(known)}")
    return {name: known[name] for name in names}


def _split(data: InteractionData, protocol: str) -> Split:
    if protocol not in PROTOCOLS:
        raise DataError("evaluate", f"protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")
    split = PROTOCOLS[protocol](event_sequences(data))
    if not len(split.test.train) or not len(split.test.queries):
        size = f"{len(data.events)} events of {len(data.users)} users"
        raise DataError("evaluate", f"{protocol} finds no event to predict in {size}")
    return split


def _try(
    grid: Sequence[Baseline], split: Split, n_items: int, progress: Callable[[int, int], None]
) -> Outcome:
    """Chooses among settings on validation, and measures the chosen one on the test. In a log that
    is too small for validation the first setting stands."""
    fold, began = split.validation, perf_counter()
    asked = thinned(fold.queries, _MOST_VALIDATED)
    choice = grid if len(grid) > 1 and len(fold.train) and len(asked) else ()
    steps, tried = len(choice) + 1, list[float]()
    progress(0, steps)
    for setting in choice:
        tried.append(measure(setting, Fold(fold.train, asked), n_items).metrics().ndcg)
        progress(len(tried), steps)
    chosen = grid[int(np.argmax(tried))] if tried else grid[0]
    at_fit = perf_counter()
    fitted = chosen.fit(split.test.train, n_items)
    at_score = perf_counter()
    ranked = rank_targets(fitted.score, split.test.queries, n_items)
    done = perf_counter()
    progress(steps, steps)
    return Outcome(
        setting=str(chosen),
        ranked=ranked,
        validation=[
            {"setting": str(setting), "ndcg@10": ndcg}
            for setting, ndcg in zip(choice, tried, strict=True)
        ],
        seconds={"choose": at_fit - began, "fit": at_score - at_fit, "score": done - at_score},
    )


def _genres(data: InteractionData) -> NDArray[np.float32]:
    """(n_items, g) one where the item has the genre."""
    named = data.items["genres"]
    column = {name: at for at, name in enumerate(sorted({name for each in named for name in each}))}
    genres = np.zeros((len(named), len(column)), dtype=np.float32)
    for row, each in enumerate(named):
        genres[row, [column[name] for name in each]] = 1
    return genres
