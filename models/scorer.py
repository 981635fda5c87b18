"""Scores items for a user with the two towers of a release. Retrieval and ranking both use it.

Temperature, item bias and the prior for users without history are folded into the vectors, so that
score == item vector . user vector exactly, and an inner-product index returns scores.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.features import FeatureSchema, HistoryBatch, pad_histories, user_tensors
from models.history import UserHistory
from models.metadata import MetadataEncoder
from models.release import Release, ReleaseError
from models.two_tower import TowerShape, TwoTower

FOLDED_COLUMNS = 2
"""Columns that folding adds to a vector: item bias, and the prior for an empty history."""

PRIOR_COLUMN = -1
"""The prior: log of recent popularity."""


class TowerScorer:
    """Trained towers with the item vectors they give.

    Args:
        model: the towers; put into evaluation mode.
        encoder: of item metadata.
        item_vectors: (n, d + 2) float32, from `fold_items`.
    """

    def __init__(
        self, model: TwoTower, encoder: MetadataEncoder, item_vectors: NDArray[np.float32]
    ) -> None:
        self.model = model.eval()
        self.encoder = encoder
        self.item_vectors = item_vectors

    @torch.inference_mode()
    def user_vectors(self, batch: HistoryBatch) -> NDArray[np.float32]:
        """(b, d + 2) float32 vectors of users; their inner products with items are scores."""
        users = user_tensors(batch, self.model.schema)
        vectors: Tensor = self.model.user(users) * self.model.log_temperature.exp()
        empty = ~users.present.any(dim=1, keepdim=True)
        # Without history there is nothing personal to say, only what most people like now.
        folded = torch.cat([vectors * ~empty, torch.ones_like(empty), empty], dim=1)
        result: NDArray[np.float32] = folded.numpy().astype(np.float32, copy=False)
        return result

    def user_vector(self, user: UserHistory) -> NDArray[np.float32]:
        """(d + 2,) float32 vector of one user; works for an empty history."""
        vector: NDArray[np.float32] = self.user_vectors(
            pad_histories([user], self.model.schema.history_length)
        )[0]
        return vector

    def score(self, user: UserHistory, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """(r,) float32 scores of item rows; larger is better, zero means nothing by itself."""
        scores: NDArray[np.float32] = self.vectors_of(rows) @ self.user_vector(user)
        return scores

    def scores(self, batch: HistoryBatch, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """(b, r) float32 scores of item rows, as `score`, for b histories."""
        scores: NDArray[np.float32] = self.user_vectors(batch) @ self.vectors_of(rows).T
        return scores

    def vectors_of(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """(r, d + 2) float32 vectors of all items that can be scored."""
        return self.item_vectors[rows]

    @torch.inference_mode()
    def new_item_vectors(
        self, genres: Sequence[tuple[str, ...]], years: NDArray[np.int16]
    ) -> NDArray[np.float32]:
        """(m, d + 2) vectors of items without events, from their metadata alone."""
        metadata = torch.from_numpy(self.encoder.encode(genres, years))
        vectors = self.model.item(self.model.item.cold_targets(metadata), metadata)
        bias = self.model.item.cold_bias.expand(len(metadata), 1)
        prior = self.model.item.cold_prior.expand(len(metadata), 1)
        return torch.cat([vectors, bias, prior], dim=1).numpy()


class TwoTowerScorer(TowerScorer):
    """The scorer of a release. Item vectors are memory-mapped.

    Raises:
        ReleaseError: the model is missing or damaged, or of another feature schema.
    """

    def __init__(self, release: Release) -> None:
        model, encoder = load_towers(release.model_path)
        if model.schema.fingerprint != release.manifest.feature_schema:
            raise ReleaseError(f"{release.model_path}: feature schema differs from the manifest's")
        super().__init__(model, encoder, release.item_vectors)
        expected = (len(release.items), model.shape.dimensions + FOLDED_COLUMNS)
        if self.item_vectors.shape != expected:
            raise ReleaseError(
                f"{release.path}: item vectors {self.item_vectors.shape}, model says {expected}"
            )


def save_towers(path: Path, model: TwoTower, encoder: MetadataEncoder) -> None:
    """Writes weights and configuration to one file of plain tensors and numbers."""
    torch.save(
        {
            "shape": asdict(model.shape),
            "schema": asdict(model.schema),
            "encoder": asdict(encoder),
            "weights": model.state_dict(),
        },
        path,
    )


def load_towers(path: Path) -> tuple[TwoTower, MetadataEncoder]:
    """Reads what `save_towers` wrote.

    Raises:
        ReleaseError: the file is missing, damaged, or of another layout.
    """
    try:
        raw: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        model = TwoTower(TowerShape(**raw["shape"]), FeatureSchema.from_dict(raw["schema"]))
        model.load_state_dict(raw["weights"])
        encoder = MetadataEncoder.from_dict(raw["encoder"])
    except FileNotFoundError:
        raise ReleaseError(f"{path}: missing") from None
    except Exception as error:
        # torch.load raises whatever its unpickler or zip reader stumbles over.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ReleaseError(f"{path}: {reason}") from None
    return model.eval(), encoder
