"""Trains the two towers: choose the number of passes on held-out events, then use everything."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.release import Items
from models.scorer import TowerScorer
from training.config import TrainingConfig
from training.ranks import rank_targets
from training.sequences import EventSequences
from training.splits import Queries, before, last_new_events
from training.tower_trainer import TowerTrainer

_VALIDATION_USERS = 5_000

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""


def silent(_done: int, _of: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class TowerFit:
    """Result of training.

    Attributes:
        scorer: the model that validated best, refitted if so configured.
        held_out: events that chose the number of passes.
        unaware: the model that validated best, trained without the held-out events.
        passes: passes it was trained for; 0 means that no pass beat the start.
        validation: metrics after each pass; the first are the start's.
    """

    scorer: TowerScorer
    held_out: Queries
    unaware: TowerScorer
    passes: int
    validation: list[dict[str, float]]


def fit_towers(
    log: EventSequences,
    items: Items,
    config: TrainingConfig,
    half_life_days: float,
    progress: Progress = silent,
) -> TowerFit:
    """Chooses the number of passes on each user's last event, then trains on the whole log.

    Args:
        log: events to learn from.
        items: the catalogue.
        config: with its defaults filled in.
        half_life_days: of the popularity that users without history are served.
    """
    towers = config.for_events(len(log)).towers
    assert towers is not None
    held_out = last_new_events(log, _VALIDATION_USERS, towers.seed)
    trainer = TowerTrainer(before(held_out), items, config, half_life_days)
    total = (2 if towers.refit else 1) * towers.passes
    best, unaware = 0, trainer.snapshot()
    validation = [_validate(unaware, held_out)]
    for done in range(1, towers.passes + 1):
        trainer.one_pass(_shifted(progress, done - 1, total))
        candidate = trainer.snapshot()
        validation.append(_validate(candidate, held_out))
        if validation[-1]["ndcg@10"] > validation[best]["ndcg@10"]:
            best, unaware = done, candidate
    scorer = unaware
    if towers.refit or best == 0:
        final = TowerTrainer(log, items, config, half_life_days)
        for done in range(best):
            final.one_pass(_shifted(progress, towers.passes + done, total))
        scorer = final.snapshot()
    return TowerFit(scorer, held_out, unaware, best, validation)


def catalogue_scores(scorer: TowerScorer, queries: Queries) -> NDArray[np.float32]:
    """(q, n) scores of every item for every query."""
    users = scorer.user_vectors(queries.histories(scorer.model.schema.history_length))
    scores: NDArray[np.float32] = users @ scorer.item_vectors.T
    return scores


def _validate(scorer: TowerScorer, held_out: Queries) -> dict[str, float]:
    n_items = len(scorer.item_vectors)
    ranked = rank_targets(lambda q: catalogue_scores(scorer, q), held_out, n_items)
    return ranked.metrics().named()


def _shifted(progress: Progress, passes_done: int, passes: int) -> Progress:
    def shifted(done: int, of: int) -> None:
        progress(passes_done * of + done, passes * of)

    return shifted
