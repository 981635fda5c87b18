"""Trains the two towers: choose the number of passes on held-out events, then use everything."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.release import Items
from models.scorer import TowerScorer
from training.checkpoints import checkpoints_of
from training.config import TrainingConfig
from training.ranks import rank_targets
from training.sequences import EventSequences
from training.splits import Queries, before, last_new_events
from training.tower_trainer import TowerTrainer

_MOST_HELD_OUT = 5_000
_ENOUGH_HELD_OUT = 2_000
_MOST_A_USER = 4
_USUAL_SHARE = 0.7
_SHARES = (0.5, 0.85, 1.0)  # also tried where the usual one is best so far

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
        share: of the way from the start to the trained model; see `TowerTrainer.snapshot`.
        chosen: metrics of `unaware`.
        gain: likewise; see `Ranked.gain`.
        validation: metrics after each pass at the usual share; the first are the start's.
    """

    scorer: TowerScorer
    held_out: Queries
    unaware: TowerScorer
    passes: int
    share: float
    chosen: dict[str, float]
    gain: float
    validation: list[dict[str, float]]


def fit_towers(
    log: EventSequences,
    items: Items,
    config: TrainingConfig,
    half_life_days: float,
    progress: Progress = silent,
    checkpoints: Path | None = None,
) -> TowerFit:
    """Chooses the number of passes on users' last events, then trains on the whole log.

    Args:
        log: events to learn from.
        items: the catalogue.
        config: with its defaults filled in.
        half_life_days: of the popularity that users without history are served.
        progress: watches the steps; passes that a checkpoint spares are never reported.
        checkpoints: folder where every finished pass leaves all that the next one needs, and where
            a run on the same log with the same settings picks up what a killed one left; None
            keeps nothing.
    """
    kept = (
        None
        if checkpoints is None
        else checkpoints_of(checkpoints, log, items, config, half_life_days)
    )
    towers = config.for_events(len(log)).towers
    assert towers is not None
    held_out = last_new_events(log, _MOST_HELD_OUT, towers.seed, _events_a_user(log))
    trainer = TowerTrainer(before(held_out), items, config, half_life_days)
    total = (2 if towers.refit else 1) * towers.passes
    best = _Trial(0, 0.0, trainer.snapshot(), held_out)
    usual = best.gain
    validation = [best.metrics]
    first = 1
    if kept and (saved := kept.load("trial")):
        trainer.load_state(saved["trainer"])
        best = _Trial.load_state(saved["best"], best.scorer, held_out)
        usual, validation, first = saved["usual"], saved["validation"], saved["passes"] + 1
    for done in range(first, towers.passes + 1):
        trainer.one_pass(_shifted(progress, done - 1, total))
        trial = _Trial(done, _USUAL_SHARE, trainer.snapshot(_USUAL_SHARE), held_out)
        validation.append(trial.metrics)
        if trial.gain > usual:
            usual = trial.gain
            others = [_Trial(done, share, trainer.snapshot(share), held_out) for share in _SHARES]
            best = max([best, trial, *others], key=lambda each: each.gain)
        if kept:
            state = {"passes": done, "usual": usual, "validation": validation}
            kept.save("trial", state | {"trainer": trainer.state(), "best": best.state()})
    scorer = best.scorer
    if towers.refit or best.passes == 0:
        final = TowerTrainer(log, items, config, half_life_days)
        first = 1
        if kept and (saved := kept.load("final")):
            final.load_state(saved["trainer"])
            first = saved["passes"] + 1
        for done in range(first, best.passes + 1):
            final.one_pass(_shifted(progress, towers.passes + done - 1, total))
            if kept:
                kept.save("final", {"passes": done, "trainer": final.state()})
        scorer = final.snapshot(best.share)
    return TowerFit(
        scorer,
        held_out,
        best.scorer,
        best.passes,
        best.share,
        best.metrics,
        best.gain,
        validation,
    )


def _events_a_user(log: EventSequences) -> int:
    """With few users, several events of each: choices made on some hundred are mostly chance."""
    users = max(int(np.count_nonzero(np.diff(log.offsets))), 1)
    return int(np.clip(-(-_ENOUGH_HELD_OUT // users), 1, _MOST_A_USER))


class _Trial:
    """A model on its way, and what it makes of the held-out events."""

    def __init__(self, passes: int, share: float, scorer: TowerScorer, held_out: Queries) -> None:
        self.passes = passes
        self.share = share
        self.scorer = scorer
        n_items = len(scorer.item_vectors)
        ranked = rank_targets(lambda q: catalogue_scores(scorer, q), held_out, n_items)
        self.metrics = ranked.metrics().named()
        self.gain = ranked.gain()

    def state(self) -> dict[str, Any]:
        """What `load_state` needs."""
        return {
            "passes": self.passes,
            "share": self.share,
            "model": self.scorer.model.state_dict(),
            "item_vectors": torch.from_numpy(self.scorer.item_vectors),
        }

    @classmethod
    def load_state(cls, state: Mapping[str, Any], like: TowerScorer, held_out: Queries) -> "_Trial":
        """The trial that gave this state; `like` is a model of the same layout."""
        model = copy.deepcopy(like.model)
        model.load_state_dict(state["model"])
        scorer = TowerScorer(model, like.encoder, state["item_vectors"].numpy())
        return cls(state["passes"], state["share"], scorer, held_out)


def catalogue_scores(scorer: TowerScorer, queries: Queries) -> NDArray[np.float32]:
    """(q, n) scores of every item for every query."""
    users = scorer.user_vectors(queries.histories(scorer.model.schema.history_length))
    scores: NDArray[np.float32] = users @ scorer.item_vectors.T
    return scores


def _shifted(progress: Progress, passes_done: int, passes: int) -> Progress:
    def shifted(done: int, of: int) -> None:
        progress(passes_done * of + done, passes * of)

    return shifted
