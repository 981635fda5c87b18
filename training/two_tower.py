"""Trains the two towers: choose the number of passes on held-out events, then use everything."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.release import Items
from models.scorer import TowerScorer
from training.checkpoints import Checkpoints, checkpoints_of
from training.config import TrainingConfig
from training.learnt import Learnt
from training.ranks import rank_targets
from training.sequences import EventSequences
from training.splits import Queries, before, held_out_events
from training.tower_trainer import TowerTrainer
from training.warm_start import Start

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
        passes: passes it was trained for; 0 means that no pass beat what training began from.
        share: of the way from the start to the trained model; see `TowerTrainer.snapshot`. 0 means
            that nothing learnt beat the start.
        chosen: metrics of `unaware`.
        gain: likewise; see `Ranked.gain`.
        validation: metrics after each pass at the usual share; the first are those before any.
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
    start: Start | None = None,
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
        start: what to go on from, with fewer passes, and what may be held out then; None starts
            anew. Nothing is then trained again: what the trial learnt is put upon the tables of
            the whole log.
    """
    kept = (
        None
        if checkpoints is None
        else checkpoints_of(checkpoints, log, items, config, half_life_days, start)
    )
    towers = config.for_events(len(log)).towers
    assert towers is not None
    passes = towers.warm_passes if start else towers.passes
    config = replace(config, towers=replace(towers, passes=passes))
    held_out = held_out_events(log, towers.seed, start.unseen(log) if start else None)
    learnt = start.learnt if start else None
    trainer = TowerTrainer(before(held_out), items, config, half_life_days, learnt)
    refits = towers.refit and not start
    total = (2 if refits else 1) * passes

    def of_pass(number: int) -> Progress:
        return _shifted(progress, number - 1, total)

    choice = _try_passes(trainer, held_out, passes, of_pass, kept, warm=start is not None)
    best = choice.best
    scorer = best.scorer
    if towers.refit or best.passes == 0:
        learnt = Learnt.of(best.scorer, best.share) if start else None
        final = TowerTrainer(log, items, config, half_life_days, learnt)
        if refits:
            _refit(final, best.passes, lambda number: of_pass(passes + number), kept)
        scorer = final.snapshot(best.share)
    return TowerFit(
        scorer,
        held_out,
        best.scorer,
        best.passes,
        best.share,
        best.metrics,
        best.gain,
        choice.validation,
    )


def _try_passes(
    trainer: TowerTrainer,
    held_out: Queries,
    passes: int,
    progress: Callable[[int], Progress],
    kept: Checkpoints | None,
    warm: bool,
) -> "_Choice":
    choice, first = _Choice(trainer, held_out, warm), 1
    if kept and (saved := kept.load("trial")):
        trainer.load_state(saved["trainer"])
        choice.load_state(saved["choice"])
        first = saved["passes"] + 1
    elif warm:
        choice.consider(0)
    for done in range(first, passes + 1):
        trainer.one_pass(progress(done))
        choice.consider(done)
        if kept:
            state = {"trainer": trainer.state(), "choice": choice.state()}
            kept.save("trial", state | {"passes": done})
    return choice


def _refit(
    trainer: TowerTrainer,
    passes: int,
    progress: Callable[[int], Progress],
    kept: Checkpoints | None,
) -> None:
    first = 1
    if kept and (saved := kept.load("final")):
        trainer.load_state(saved["trainer"])
        first = saved["passes"] + 1
    for done in range(first, passes + 1):
        trainer.one_pass(progress(done))
        if kept:
            kept.save("final", {"passes": done, "trainer": trainer.state()})


class _Choice:
    """The best of what a trainer was on its way.

    Attributes:
        best: so far; at first the start from transitions.
        validation: metrics at the usual share, of what training begins from and after each pass.
    """

    def __init__(self, trainer: TowerTrainer, held_out: Queries, warm: bool) -> None:
        self._trainer = trainer
        self._held_out = held_out
        self.best = self._trial(0, 0.0)
        self._usual = self.best.gain
        self.validation = [] if warm else [self.best.metrics]

    def consider(self, passes: int) -> None:
        """Tries the trainer as it is after some passes."""
        trial = self._trial(passes, _USUAL_SHARE)
        self.validation.append(trial.metrics)
        if trial.gain > self._usual:
            self._usual = trial.gain
            others = [self._trial(passes, share) for share in _SHARES]
            self.best = max([self.best, trial, *others], key=lambda each: each.gain)

    def state(self) -> dict[str, Any]:
        """What `load_state` needs."""
        return {"best": self.best.state(), "usual": self._usual, "validation": self.validation}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from another choice's `state`, of equal arguments."""
        self.best = _Trial.load_state(state["best"], self.best.scorer, self._held_out)
        self._usual, self.validation = state["usual"], state["validation"]

    def _trial(self, passes: int, share: float) -> "_Trial":
        return _Trial(passes, share, self._trainer.snapshot(share), self._held_out)


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
