"""State of a training run on disk, so that a killed run goes on after its last finished pass.

A checkpoint belongs to what is trained on what: its name holds a fingerprint of configuration, log
and code, and whoever trains something else never finds it.
"""

import hashlib
import io
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.release import Items
from training.config import TrainingConfig
from training.sequences import EventSequences
from training.warm_start import Start

log = logging.getLogger(__name__)

State = Mapping[str, Any]
"""Tensors, numbers, strings, and lists and dicts of them: what `torch.load` reads safely."""

_CODE = (Path(__file__).parent, Path(__file__).parent.parent / "models")
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Checkpoints:
    """Where the checkpoints of one run are.

    Attributes:
        folder: made when the first one is written; runs may share it.
        fingerprint: of all that the run's outcome depends on.
    """

    folder: Path
    fingerprint: str

    def save(self, stage: str, state: State) -> None:
        """Replaces the stage's checkpoint. A run that cannot write one goes on without."""
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        content = buffer.getbuffer()
        path = self._path(stage)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(hashlib.sha256(content).digest())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # a name must not outlive a power cut that its bytes do not
            temporary.replace(path)
        except OSError as error:
            log.warning("%s: no checkpoint written: %s", path, error.strerror)

    def load(self, stage: str) -> State | None:
        """The stage's last checkpoint; None without one. A damaged one is a warning, and none."""
        path = self._path(stage)
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            log.warning("%s: checkpoint ignored: %s", path, error.strerror)
            return None
        digest, payload = content[:_DIGEST], content[_DIGEST:]
        # torch.load itself reads most flipped bits as other weights.
        if hashlib.sha256(payload).digest() != digest:
            log.warning("%s: checkpoint ignored: it is damaged", path)
            return None
        state: State = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        return state

    def _path(self, stage: str) -> Path:
        return self.folder / f"{self.fingerprint}-{stage}.pt"


def checkpoints_of(
    folder: Path,
    events: EventSequences,
    items: Items,
    config: TrainingConfig,
    half_life_days: float,
    start: Start | None = None,
) -> Checkpoints:
    """The checkpoints of training the towers on a log; arguments as in `fit_towers`."""
    digest = hashlib.sha256()
    for folder_of_code in _CODE:
        for path in sorted(folder_of_code.rglob("*.py")):
            digest.update(path.read_bytes())
    begins = start.release_id if start else None
    settings = [torch.__version__, np.__version__, config.to_dict(), half_life_days, begins]
    catalogue = [list(map(list, items.genres)), items.years.tolist(), list(events.region_names)]
    digest.update(json.dumps([settings, catalogue], sort_keys=True).encode())
    for column in (
        events.offsets,
        events.rows,
        events.kinds,
        events.values,
        events.times,
        events.regions,
    ):
        digest.update(f"{column.dtype.str}{column.shape}".encode())
        digest.update(np.ascontiguousarray(column).data)
    return Checkpoints(folder, digest.hexdigest()[:32])


def remove_checkpoints(folder: Path) -> None:
    """Removes every run's: after a release is built, older ones would only fill the disk."""
    for pattern in ("*.pt", "*.pt.*.new"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
