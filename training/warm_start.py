"""A refresh may go on from the towers of the release before, without having seen its own questions.

Held-out events choose the passes and the weights of the score; towers that have seen them would
look better than they are. So each release keeps the towers of its trial, which were trained without
its held-out events, and which those were. The next trial starts from these towers and holds out
only what they cannot have seen; its own towers, then, have not seen it either.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.metadata import MetadataEncoder
from models.release import HELD_OUT, TRIAL, Items, Release, ReleaseError
from models.scorer import load_towers
from training.config import TowerConfig, TrainingConfig
from training.learnt import Learnt
from training.sequences import EventSequences
from training.splits import Queries, held_out_events
from training.tower_trainer import feature_schema

_LEAST_SHARE = 0.5  # of the events that a start anew would hold out
_SETTINGS = ("objective", "utility", "transitions", "towers")


class NoStart(Exception):
    """A release cannot be started from; the text says why."""


@dataclass(frozen=True)
class Start:
    """What a refresh goes on from.

    Attributes:
        release_id: of the release.
        learnt: by the towers of its trial.
        held_out: (p, 2) int64 rows of users and items, in the tables of the refresh: pairs of which
            the trial has seen no event.
        cut_off: Unix seconds; it has seen no later event.
        warm_starts: in a row, that led to the release.
    """

    release_id: str
    learnt: Learnt
    held_out: NDArray[np.int64]
    cut_off: float
    warm_starts: int

    def unseen(self, log: EventSequences) -> NDArray[np.bool_]:
        """(e,) events that the trial cannot have seen. An older event that came late counts as
        seen: nothing tells when it came."""
        held_out = _keys(self.held_out[:, 0], self.held_out[:, 1])
        return (log.times > self.cut_off) | np.isin(_keys(log.users, log.rows), held_out)


def start_from(
    release: Release,
    log: EventSequences,
    items: Items,
    users: pd.DataFrame,
    config: TrainingConfig,
) -> Start:
    """What training on a later log may go on from.

    Args:
        release: the one that is refreshed.
        log, items, users: what is learnt from now.
        config: with its defaults filled in.

    Raises:
        NoStart: the release keeps no trial that has learnt something, inputs or settings are other
            ones now, too little is unseen, or there were enough warm starts in a row.
    """
    towers, kept = config.towers, release.manifest.config
    assert towers is not None
    warm_starts = int(kept.get("warm_starts", 0))
    if not towers.passes or towers.factor_learning_rate:
        raise NoStart("only networks upon frozen tables are carried over")
    if warm_starts >= towers.warm_starts:
        raise NoStart(f"after {warm_starts} warm starts in a row")
    learnt, pairs = _kept(release, items)
    if any(kept.get(name) != json.loads(json.dumps(config.to_dict()[name])) for name in _SETTINGS):
        raise NoStart(f"settings differ from those of {release.release_id}")
    held_out = _held_out(pairs, release, items, users)
    cut_off = release.manifest.cut_off
    start = Start(release.release_id, learnt, held_out, cut_off, warm_starts)
    _check_inputs(start, log, items, towers)
    of_start = held_out_events(log, towers.seed, start.unseen(log))
    if len(of_start) < _LEAST_SHARE * len(held_out_events(log, towers.seed)):
        raise NoStart(f"{release.release_id} has seen most of what would be held out")
    return start


def held_out_rows(held_out: Queries) -> NDArray[np.int32]:
    """(p, 2) rows of users and items, as a release keeps them."""
    return np.stack([held_out.users, held_out.targets], axis=1).astype(np.int32)


def _kept(release: Release, items: Items) -> tuple[Learnt, NDArray[np.int32]]:
    """What the trial learnt, and `held_out_rows` of the release."""
    try:
        model, encoder = load_towers(release.path / TRIAL)
        pairs = np.load(release.path / HELD_OUT, allow_pickle=False)
    except (ReleaseError, OSError, ValueError):
        raise NoStart(f"{release.release_id} keeps no towers of its trial") from None
    share = float(release.manifest.config["share"])
    return Learnt(model, encoder, share, _rows(release.items.row_of, items.ids)), pairs


def _held_out(
    pairs: NDArray[np.int32], release: Release, items: Items, users: pd.DataFrame
) -> NDArray[np.int64]:
    """The pairs that are still there, in rows of the new tables."""
    ids = users["user_id"].to_numpy(dtype=object)
    row_of = {user_id: row for row, user_id in enumerate(ids.tolist())}
    old_ids = release.users["user_id"].to_numpy(dtype=object)
    user_rows = _rows(row_of, old_ids[pairs[:, 0]])
    item_rows = _rows(items.row_of, release.items.ids[pairs[:, 1]])
    found = np.stack([user_rows, item_rows], axis=1)
    return found[(found >= 0).all(axis=1)]


def _check_inputs(start: Start, log: EventSequences, items: Items, towers: TowerConfig) -> None:
    learnt = start.learnt
    if learnt.model.schema != feature_schema(towers, log.region_names):
        raise NoStart(f"regions differ from those of {start.release_id}")
    if {*learnt.encoder.genres} != {*MetadataEncoder.fit(items.genres).genres}:
        raise NoStart(f"genres differ from those of {start.release_id}")


def _rows(row_of: Mapping[str, int], ids: NDArray[np.object_]) -> NDArray[np.int64]:
    """(n,) rows of ids; -1 for those that are not there."""
    return np.array([row_of.get(each, -1) for each in ids.tolist()], dtype=np.int64)


def _keys(users: NDArray[np.int64], rows: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """One number a pair of a user and an item."""
    return users.astype(np.int64) << 32 | rows.astype(np.int64)
