"""Trains all that the final score needs: towers, the tables of the other parts, their weights."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.evidence import EvidenceTables, evidence_parts
from models.final_score import DEFAULT_WEIGHTS, TOWERS, FinalScorer
from models.matrix_factorization import Factors, FoldIn, factorize
from models.metadata import genre_vectors
from models.release import Items
from models.scorer import PRIOR_COLUMN, TowerScorer
from training.blend import FIXED, catalogue_scores, fit_weights
from training.calibration import Calibration, calibrate
from training.config import TrainingConfig
from training.evidence import ease_table, transition_table
from training.friends import Friends
from training.ranks import Ranked, rank_targets
from training.sequences import EventSequences
from training.splits import Queries, before
from training.surroundings import Around, choose_trend_half_life
from training.two_tower import TowerFit, fit_towers
from training.utility import composite_utility
from training.warm_start import Start

Progress = Callable[[str, int, int], None]
"""Called with (stage, steps done, steps in all)."""


@dataclass(frozen=True)
class FinalFit:
    """Result of training.

    Attributes:
        scorer: the final score, from all events.
        towers: how the towers came about.
        tables: what the other parts read.
        factors: of composite utility; their items are those of `tables`.
        calibration: the head, from the held-out events.
        validation: metrics on the held-out events, by name of the metric; `ece` only where there
            are some.
        trend_half_life_days: of the trend that goes into the score.
        around: what goes on around users of a system that knows the whole log.
    """

    scorer: FinalScorer
    towers: TowerFit
    tables: EvidenceTables
    factors: Factors
    calibration: Calibration
    validation: dict[str, float]
    trend_half_life_days: float
    around: Around


def fit_final(
    log: EventSequences,
    items: Items,
    config: TrainingConfig,
    half_life_days: float,
    progress: Progress,
    checkpoints: Path | None = None,
    friends: Friends | None = None,
    start: Start | None = None,
) -> FinalFit:
    """Learns from the log without each user's last event to choose, then from all of it.

    The weights of the parts are learnt from the same held-out events that chose the number of
    passes: a handful of numbers from hundreds of events, and all are about how well a part
    predicts what it has not seen.

    Args:
        log: events to learn from.
        items: the catalogue.
        config: with its defaults filled in.
        half_life_days: of recent popularity.
        progress: watches long stages.
        checkpoints: as in `fit_towers`.
        friends: of the log's users; None for none.
        start: as in `fit_towers`.
    """
    friends = friends or Friends.none(log.n_users)
    trend_half_life = choose_trend_half_life(log, len(items))
    towers = fit_towers(
        log, items, config, half_life_days, _stage(progress, "towers"), checkpoints, start
    )
    held_out = Around(friends, trend_half_life).of(replace(towers.held_out, recorded=True))
    known, _ = _tables(before(held_out), items, towers.unaware, config, _stage(progress, "trial"))
    parts = evidence_parts(known, config.evidence)
    weights = fit_weights(towers.unaware, parts, held_out, _stage(progress, "weights"))
    trial = FinalScorer(towers.unaware, parts, weights)
    ranked = _ranked(trial, held_out)
    if ranked.gain() < towers.gain:
        fallback = {TOWERS: 1.0, **{name: DEFAULT_WEIGHTS[name] for name in FIXED}}
        trial = FinalScorer(towers.unaware, parts, fallback)
        ranked = _ranked(trial, held_out)
    calibration = calibrate(
        trial,
        before(held_out),
        held_out,
        config.objective,
        config.utility,
        config.factorization.seed,
    )
    validation = ranked.metrics().named()
    if calibration.bins:
        validation["ece"] = calibration.ece
    tables, factors = _tables(log, items, towers.scorer, config, _stage(progress, "evidence"))
    parts = evidence_parts(tables, config.evidence)
    scorer = FinalScorer(towers.scorer, parts, trial.weights, calibration.head)
    around = Around(friends, trend_half_life, log)
    return FinalFit(
        scorer, towers, tables, factors, calibration, validation, trend_half_life, around
    )


def _ranked(scorer: FinalScorer, held_out: Queries) -> Ranked:
    n_items = len(scorer.towers.item_vectors)
    return rank_targets(lambda q: catalogue_scores(scorer, q), held_out, n_items)


def _tables(
    log: EventSequences,
    items: Items,
    towers: TowerScorer,
    config: TrainingConfig,
    progress: Callable[[int, int], None],
) -> tuple[EvidenceTables, Factors]:
    steps = config.factorization.steps
    utility = composite_utility(log, len(items), config.utility)
    factors = factorize(utility, config.factorization, lambda step: progress(step, steps + 2))
    transitions = transition_table(log, len(items), config)
    progress(steps + 1, steps + 2)
    ease = ease_table(log, len(items), config)
    progress(steps + 2, steps + 2)
    tables = EvidenceTables(
        transitions=transitions,
        ease=ease,
        factors=factors.items,
        fold_in=FoldIn(factors.items, config.factorization),
        genres=genre_vectors(items.genres),
        popularity=np.asarray(towers.item_vectors[:, PRIOR_COLUMN]),
    )
    return tables, factors


def _stage(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, of: progress(name, done, of)
