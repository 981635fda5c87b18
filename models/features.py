"""What the models know of a user at one moment, and how it becomes tensors.

The one transform of the system: training, retrieval and ranking all come through here.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.events import EventKind
from models.history import HISTORY_LENGTH, Surroundings, UserHistory, taste_mask
from models.session import COLUMNS, SESSION_LENGTH, session_features

_MOST_DAYS = 30
"""A longer absence is like this one: who asks a log that ended years ago must not look like nobody
that training ever saw."""


@dataclass(frozen=True)
class FeatureSchema:
    """Names and order of the user tower's inputs. Serving refuses a model of another schema.

    Attributes:
        history_length: most recent events of taste that are looked at.
        decays: one pooled history vector each; an event's weight is decay ** (events after it).
        regions: known regions; any other is "unknown".
        devices: known device classes; any other is "unknown".
    """

    history_length: int = HISTORY_LENGTH
    decays: tuple[float, ...] = (0.6, 0.9, 0.98)
    regions: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    @property
    def context_names(self) -> list[str]:
        """Names of the columns of `UserTensors.context`."""
        counts = [f"log_count_{kind.name.lower()}" for kind in EventKind]
        moment = [f"log_days_since_last_up_to_{_MOST_DAYS}", "hour_sin", "hour_cos"]
        regions = [f"region={region}" for region in self.regions]
        devices = [f"device={device}" for device in self.devices]
        return ["log_history_length", *counts, *moment, *COLUMNS, *regions, *devices]

    @property
    def names(self) -> list[str]:
        """Names of all inputs, in order."""
        pools = [f"pool_{decay}_of_{self.history_length}" for decay in self.decays]
        return [*pools, "last_item", *self.context_names]

    @property
    def fingerprint(self) -> str:
        """Hash of names and order, as the release manifest keeps it."""
        return hashlib.sha256(json.dumps(self.names).encode()).hexdigest()

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> "FeatureSchema":
        """The schema of a checkpoint; the inverse of `dataclasses.asdict`."""
        return cls(
            history_length=int(raw["history_length"]),
            decays=tuple(raw["decays"]),
            regions=tuple(raw["regions"]),
            devices=tuple(raw["devices"]),
        )


@dataclass(frozen=True)
class HistoryBatch:
    """Padded histories of b users, most recent event first, events of taste only.

    Attributes:
        rows: (b, l) int32 item rows; -1 pads at the end.
        kinds: (b, l) int8; 0 pads.
        ages: (b, l) float32 seconds; 0 pads.
        times: (b,) float64 Unix seconds of the moment.
        regions, devices: b strings each.
        session: (b, s) float32 `models.session.COLUMNS` of the last events of any kind.
        around: what goes on around each user; empty for nothing.
    """

    rows: NDArray[np.int32]
    kinds: NDArray[np.int8]
    ages: NDArray[np.float32]
    times: NDArray[np.float64]
    regions: Sequence[str]
    devices: Sequence[str]
    session: NDArray[np.float32]
    around: Sequence[Surroundings] = ()

    def around_of(self, user: int) -> Surroundings:
        """What goes on around one of the users."""
        return self.around[user] if self.around else Surroundings()


@dataclass(frozen=True)
class UserTensors:
    """Input of the user tower.

    Attributes:
        rows: (b, l) int64 item rows, most recent first; 0 where `present` is false.
        present: (b, l) bool.
        context: (b, c) float32, columns as `FeatureSchema.context_names`.
    """

    rows: Tensor
    present: Tensor
    context: Tensor


def pad_histories(users: Sequence[UserHistory], length: int) -> HistoryBatch:
    """Pads users' histories, cut to the last `length` events of taste, to one batch."""
    shape = (len(users), length)
    rows = np.full(shape, -1, dtype=np.int32)
    kinds = np.zeros(shape, dtype=np.int8)
    ages = np.zeros(shape, dtype=np.float32)
    for i, user in enumerate(users):
        recent = np.flatnonzero(taste_mask(user.rows, user.kinds))[::-1][:length]
        rows[i, : len(recent)] = user.rows[recent]
        kinds[i, : len(recent)] = user.kinds[recent]
        ages[i, : len(recent)] = user.ages[recent]
    return HistoryBatch(
        rows=rows,
        kinds=kinds,
        ages=ages,
        times=np.array([user.time for user in users], dtype=np.float64),
        regions=[user.region for user in users],
        devices=[user.device for user in users],
        session=_session(users),
        around=[user.around for user in users],
    )


def _session(users: Sequence[UserHistory]) -> NDArray[np.float32]:
    shape = (len(users), SESSION_LENGTH)
    kinds = np.zeros(shape, dtype=np.int8)
    ages, values = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for table, name in ((kinds, "kinds"), (ages, "ages"), (values, "values")):
        for i, user in enumerate(users):
            newest_first = getattr(user, name)[::-1][:SESSION_LENGTH]
            table[i, : len(newest_first)] = newest_first
    return session_features(kinds, ages, values).columns


def user_tensors(batch: HistoryBatch, schema: FeatureSchema) -> UserTensors:
    """Turns padded histories into the user tower's input."""
    present = batch.rows >= 0
    counts = np.zeros((len(present), len(EventKind)))
    for kind in np.unique(batch.kinds[present]):
        counts[:, kind - 1] = (batch.kinds == kind).sum(axis=1)
    days = np.minimum(np.where(present[:, 0], batch.ages[:, 0], 0.0) / 86_400, _MOST_DAYS)
    angle = 2 * np.pi * (batch.times % 86_400) / 86_400
    columns = [
        np.log1p(present.sum(axis=1))[:, None],
        np.log1p(counts),
        np.log1p(days)[:, None],
        np.sin(angle)[:, None],
        np.cos(angle)[:, None],
        batch.session,
        _one_hot(batch.regions, schema.regions),
        _one_hot(batch.devices, schema.devices),
    ]
    return UserTensors(
        rows=torch.from_numpy(np.where(present, batch.rows, 0).astype(np.int64)),
        present=torch.from_numpy(present),
        context=torch.from_numpy(np.concatenate(columns, axis=1).astype(np.float32)),
    )


def _one_hot(values: Sequence[str], known: tuple[str, ...]) -> NDArray[np.float64]:
    place = {value: column for column, value in enumerate(known)}
    encoded = np.zeros((len(values), len(known)), dtype=np.float64)
    for i, value in enumerate(values):
        if value in place:
            encoded[i, place[value]] = 1.0
    return encoded
