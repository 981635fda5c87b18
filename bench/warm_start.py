"""What it saves, and costs, to train towers from those of the release before.

    python -m bench.warm_start --data DIR [--cuts C,C,...] [--seed N] [--json]

The log, without each user's last five events, is cut by time into what one release after another
learns from. Each cut is learnt anew, anew with as few passes as a warm start has, and warm from
the cut before; the warm ones are a chain. Asked for are four of each user's five events, which no
release has seen, and the log between a cut and the next. The very last events stay out: they are
the test of `leave-last-out`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.options import data_option
from models.errors import ReportedError
from models.release import Items
from training.config import TowerConfig, TrainingConfig
from training.data import DataError, InteractionData, item_table
from training.final_model import FinalFit, fit_final
from training.friends import Friends
from training.learnt import Learnt
from training.ranks import Ranked, rank_targets
from training.readers import read
from training.sequences import EventSequences, event_sequences
from training.splits import Queries
from training.statistics import Bootstrap
from training.tandem_models import FittedTandem, FittedTowers
from training.trend import choose_half_life
from training.warm_start import Start, held_out_rows

_ASKED = 5
_LEAST_KNOWN = 7  # events of a user that are left to learn from
ANEW, FEW, WARM = "anew", "anew, as few passes", "warm"


@dataclass(frozen=True)
class Trained:
    """A release's models, and the processor seconds they took."""

    fit: FinalFit
    towers: float
    whole: float


def run(data: InteractionData, cuts: Sequence[float], seed: int) -> dict[str, Any]:
    """Trains on each cut, and asks.

    Args:
        data: the log.
        cuts: ascending quantiles of time, the first of which all others go on from.
        seed: of the towers.

    Raises:
        DataError: the log is too small.
    """
    log, items, friends = event_sequences(data), item_table(data), Friends.of(data.users)
    world, last = _apart(log)
    if not len(last):
        raise DataError("warm_start", f"no user of {len(log)} events has enough of them")
    ends = [float(np.quantile(world.times, cut, method="lower")) for cut in cuts]
    measured, start = [], None
    for at, (cut, end) in enumerate(zip(cuts, ends, strict=True)):
        known = world.select(world.times <= end)
        towers = replace(TowerConfig.for_events(len(known)), seed=seed)
        few = replace(towers, passes=towers.warm_passes)
        anew = _train(known, items, friends, towers)
        arms = {ANEW: anew}
        if start is not None:
            arms[FEW] = _train(known, items, friends, few)
            arms[WARM] = _train(known, items, friends, towers, start)
        start = _start(arms.get(WARM, anew).fit, end, at)
        asked = {"last": last}
        if at + 1 < len(ends):
            between = (world.times > end) & (world.times <= ends[at + 1])
            asked["next"] = replace(Queries.at(world, np.flatnonzero(between)), recorded=True)
        if len(arms) > 1:
            measured += _measure(arms, asked, cut, len(known), len(items))
    return {"seed": seed, "users": len(np.unique(last.users)), "measured": measured}


def _apart(log: EventSequences) -> tuple[EventSequences, Queries]:
    """The log without users' last events, and those but the very last ones as questions."""
    users = np.flatnonzero(np.diff(log.offsets) >= _ASKED + _LEAST_KNOWN)
    ends = log.offsets[users + 1, None]
    kept = np.ones(len(log), np.bool_)
    kept[(ends - np.arange(1, _ASKED + 1)).ravel()] = False
    return log.select(kept), Queries.at(log, (ends - np.arange(_ASKED, 1, -1)).ravel())


def _train(
    log: EventSequences,
    items: Items,
    friends: Friends,
    towers: TowerConfig,
    start: Start | None = None,
) -> Trained:
    began, seen = process_time(), dict[str, float]()

    def watch(stage: str, _done: int, _of: int) -> None:
        seen.setdefault(stage, process_time())

    half_life = choose_half_life(log, len(items))
    config = TrainingConfig(towers=towers)
    fit = fit_final(log, items, config, half_life, watch, friends=friends, start=start)
    return Trained(fit, seen["trial"] - seen["towers"], process_time() - began)


def _start(fit: FinalFit, cut_off: float, warm_starts: int) -> Start:
    towers = fit.towers
    learnt = Learnt.of(towers.unaware, towers.share)
    if learnt is None:
        raise DataError("warm_start", "the towers have learnt nothing to go on from")
    held_out = held_out_rows(towers.held_out).astype(np.int64)
    return Start("before", learnt, held_out, cut_off, warm_starts)


def _measure(
    arms: Mapping[str, Trained],
    asked: Mapping[str, Queries],
    cut: float,
    events: int,
    n_items: int,
) -> list[dict[str, Any]]:
    described = []
    for questions, queries in asked.items():
        for model in ("towers", "final"):
            ranked = {name: _ranked(arm.fit, model, queries, n_items) for name, arm in arms.items()}
            ndcg = np.column_stack([each.accuracy().ndcg for each in ranked.values()])
            bootstrap = Bootstrap.of(ndcg, queries.users)
            for column, (name, arm) in enumerate(arms.items()):
                change = bootstrap.difference(column, 0)
                metrics = ranked[name].metrics()
                described.append(
                    {
                        "cut": cut,
                        "events": events,
                        "start": name,
                        "asked": questions,
                        "questions": len(queries),
                        "model": model,
                        "ndcg@10": round(metrics.ndcg, 4),
                        "ndcg_less_anew": [
                            round(each, 4) for each in (change.value, change.low, change.high)
                        ],
                        "recall@100": round(metrics.named()["recall@100"], 4),
                        "passes": arm.fit.towers.passes,
                        "share": arm.fit.towers.share,
                        "towers_seconds": round(arm.towers, 1),
                        "whole_seconds": round(arm.whole, 1),
                    }
                )
    return described


def _ranked(fit: FinalFit, model: str, queries: Queries, n_items: int) -> Ranked:
    fitted: FittedTowers | FittedTandem = (
        FittedTowers(fit.scorer.towers)
        if model == "towers"
        else FittedTandem(fit.scorer, 0.0, fit.around)
    )
    return rank_targets(fitted.score, queries, n_items)


def _table(document: Mapping[str, Any]) -> Table:
    columns = ("cut", "asked", "model", "start", "nDCG@10", "less anew's (95 %)", "recall@100")
    table = Table(*columns, "passes", "towers s", "whole s", title=f"seed {document['seed']}")
    for each in document["measured"]:
        value, low, high = each["ndcg_less_anew"]
        table.add_row(
            f"{each['cut']:g}",
            f"{each['asked']}, {each['questions']}",
            each["model"],
            each["start"],
            f"{each['ndcg@10']:.4f}",
            "" if each["start"] == ANEW else f"{value:+.4f} ({low:+.4f} to {high:+.4f})",
            f"{each['recall@100']:.3f}",
            f"{each['passes']}",
            f"{each['towers_seconds']:.0f}",
            f"{each['whole_seconds']:.0f}",
            end_section=each["start"] == WARM,
        )
    return table


@click.command()
@data_option
@click.option("--cuts", default="0.8,0.9,1", help="Quantiles of time, ascending.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the towers.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def main(data: Path, cuts: str, seed: int, as_json: bool) -> None:
    """Measures warm starts on a log."""
    try:
        quantiles = [float(each) for each in cuts.split(",")]
    except ValueError:
        raise click.ClickException(f"cuts: {cuts!r} is no list of numbers") from None
    try:
        document = run(read(data), quantiles, seed)
    except (ReportedError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print(json.dumps(document))
        return
    Console(width=130).print(_table(document))


if __name__ == "__main__":
    main()
