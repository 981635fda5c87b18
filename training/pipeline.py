"""From an interaction log to a release: one plain sequence, called by the command line."""

import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import release as files
from models.neighbours import Neighbours, item_neighbours
from models.popularity import popularity
from models.release import Items, Release, ReleaseWriter
from models.scorer import save_towers
from services.common.probe_users import probe_table
from training import plots
from training.batch import batch_recommendations, write_lists
from training.calibration import Calibration
from training.checkpoints import remove_checkpoints
from training.config import NeighbourConfig, TrainingConfig, check_stored_method
from training.data import DataError, InteractionData, item_table
from training.final_model import FinalFit, Progress, fit_final
from training.friends import Friends
from training.plots import plot_reliability, plot_towers
from training.probe import probe_users
from training.sequences import EventSequences, event_sequences
from training.trend import choose_half_life
from training.two_tower import TowerFit
from training.utility import composite_utility
from training.warm_start import NoStart, Start, held_out_rows, start_from

SETTINGS = "training.toml"
"""In every release: the configuration it was trained with, ready to be trained with again."""

log = logging.getLogger(__name__)


def no_progress(_stage: str, _done: int, _of: int) -> None:
    """Progress that nobody watches."""


def train(
    data: InteractionData,
    config: TrainingConfig,
    release_root: Path,
    progress: Progress = no_progress,
    checkpoints: Path | None = None,
    base: Release | str = "nothing to go on from was given",
) -> Release:
    """Trains every model on a log and writes one release.

    Args:
        data: the log; events are learnt from up to its newest.
        config: settings; towers without any take the defaults for the log's size.
        release_root: folder of releases; the new one appears in it whole, or not at all.
        progress: watches long stages.
        checkpoints: folder where a killed run leaves what an equal run goes on from; emptied once
            the release is there. None keeps nothing.
        base: a release whose towers may be gone on from, or why they start anew.

    Raises:
        DataError: the log holds no event.
        ConfigError: there is no such method of batch recommendations.
    """
    if data.events.empty:
        raise DataError("events", "there is nothing to learn from")
    check_stored_method(config.stored_method)  # before the hours, not after
    config = config.for_events(len(data.events))
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    sequences, items = event_sequences(data), item_table(data)
    start, began = _start(base, sequences, items, data.users, config)
    half_life = choose_half_life(sequences, len(items))
    friends = Friends.of(data.users)
    fit = fit_final(sequences, items, config, half_life, progress, checkpoints, friends, start)
    utility = composite_utility(sequences, len(items), config.utility)
    neighbours = _neighbours(utility, config.neighbours, _stage(progress, "neighbours"))
    popular = popular_rows(sequences, len(items), half_life)
    lists = batch_recommendations(
        fit.scorer,
        sequences,
        items,
        config.stored_items,
        _stage(progress, "batch"),
        config.stored_method,
    )
    with ReleaseWriter(release_root) as writer:
        _write_tables(writer, data)
        write_lists(writer.path / files.STORED, lists, data.users["user_id"].to_numpy(dtype=object))
        _write_models(writer, fit, neighbours, popular)
        writer.table(files.PROBE, probe_table(probe_users(fit, sequences)))
        _write_plots(writer, fit)
        (writer.path / SETTINGS).write_text(_settings(config, fit.towers, half_life))
        release = writer.commit(
            cut_off=data.cut_off,
            n_items=len(items),
            n_users=len(data.users),
            n_events=len(data.events),
            feature_schema=fit.scorer.towers.model.schema.fingerprint,
            config=config.to_dict()
            | {
                "passes": fit.towers.passes,
                "share": fit.towers.share,
                "popularity_days": half_life,
                "trend_half_life_days": fit.trend_half_life_days,
                "start": began,
                "warm_starts": start.warm_starts + 1 if start else 0,
            },
            metrics=fit.validation,
            weights=fit.scorer.weights,
            head=asdict(fit.calibration.head) | {"reliability": _reliability(fit.calibration)},
        )
    if checkpoints is not None:
        remove_checkpoints(checkpoints)
    return release


def _start(
    base: Release | str,
    sequences: EventSequences,
    items: Items,
    users: pd.DataFrame,
    config: TrainingConfig,
) -> tuple[Start | None, str]:
    """What to go on from, and how the manifest puts it."""
    start, reason = None, base
    if isinstance(base, Release):
        try:
            start = start_from(base, sequences, items, users, config)
        except NoStart as error:
            reason = str(error)
    began = f"warm from {start.release_id}" if start else f"anew: {reason}"
    log.info("the towers start %s", began)
    return start, began


def _neighbours(
    utility: csr_array, config: NeighbourConfig, progress: Callable[[int, int], None]
) -> Neighbours:
    progress(0, 1)
    found = item_neighbours(
        utility,
        metric=config.metric,
        shrink=config.shrink,
        m=config.count,
        missing=config.missing,
        min_support=config.min_support,
    )
    progress(1, 1)
    return found


def _reliability(calibration: Calibration) -> list[dict[str, float]]:
    return [asdict(each) for each in calibration.bins]


def _settings(config: TrainingConfig, towers: TowerFit, half_life_days: float) -> str:
    """What was chosen goes into comments: given as settings, it would not be chosen again, and the
    learning rate, which falls over `towers.passes`, would take another course."""
    return (
        f"# Chosen on held-out events: {towers.passes} passes of the towers, {towers.share:g} of "
        f"the way from their start; popularity over {half_life_days:g} days.\n"
        f"{config.to_toml()}"
    )


def popular_rows(
    sequences: EventSequences, n_items: int, half_life_days: float
) -> NDArray[np.int32]:
    """(n_items,) rows, most popular at the end of the log first."""
    taste = sequences.taste()
    now = float(taste.times.max(initial=0.0))
    counts = popularity(taste.rows, taste.times, n_items, now=now, half_life_days=half_life_days)
    return np.argsort(-counts, kind="stable").astype(np.int32)


def _stage(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, of: progress(name, done, of)


def _write_tables(writer: ReleaseWriter, data: InteractionData) -> None:
    writer.table(files.ITEMS, _with_lists(data.items, "genres", "creators"))
    writer.table(files.USERS, _with_lists(data.users, "friends"))


def _with_lists(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    lists = {
        column: pd.Series([list(values) for values in table[column]], index=table.index)
        for column in columns
    }
    return table.assign(**lists)


def _write_plots(writer: ReleaseWriter, fit: FinalFit) -> None:
    towers = fit.towers
    plot_reliability(fit.calibration, writer.path / plots.RELIABILITY)
    plot_towers(
        towers.validation, towers.passes, towers.share, towers.chosen, writer.path / plots.TOWERS
    )


def _write_models(
    writer: ReleaseWriter,
    fit: FinalFit,
    neighbours: Neighbours,
    popular: NDArray[np.int32],
) -> None:
    towers, tables = fit.scorer.towers, fit.tables
    writer.array(files.ITEM_FACTORS, fit.factors.items)
    writer.array(files.USER_FACTORS, fit.factors.users)
    writer.array(files.NEIGHBOUR_ROWS, neighbours.rows)
    writer.array(files.NEIGHBOUR_SCORES, neighbours.scores)
    writer.array(files.TRANSITION_ROWS, tables.transitions.rows)
    writer.array(files.TRANSITION_SCORES, tables.transitions.scores)
    writer.array(files.EASE_ROWS, tables.ease.rows)
    writer.array(files.EASE_SCORES, tables.ease.scores)
    writer.array(files.POPULAR_ROWS, popular)
    writer.array(files.ITEM_VECTORS, towers.item_vectors)
    save_towers(writer.path / files.MODEL, towers.model, towers.encoder)
    if fit.towers.share:
        unaware = fit.towers.unaware
        save_towers(writer.path / files.TRIAL, unaware.model, unaware.encoder)
        writer.array(files.HELD_OUT, held_out_rows(fit.towers.held_out))
