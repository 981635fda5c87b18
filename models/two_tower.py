"""The two towers: a user's recent history and an item's metadata meet in one inner product.

Both towers start as the truncated SVD of item-to-item transitions and add a residual network whose
last layer is zero, so training starts at the SVD's quality.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.features import FeatureSchema, UserTensors

RESIDUAL_SCALE = 1.0
"""Size of a correction of unit elements, relative to the vector it corrects."""


@dataclass(frozen=True)
class TowerShape:
    """Sizes of the network.

    Attributes:
        n_items: items with a row in both tables.
        dimensions: width of both towers' output.
        hidden: width of the hidden ReLU layers.
        metadata: width of an item's metadata.
        dropout: share of the user tower's hidden units dropped in training.
    """

    n_items: int
    metadata: int
    dimensions: int = 128
    hidden: int = 256
    dropout: float = 0.3


def _residual(inputs: int, shape: TowerShape, dropout: float = 0.0) -> nn.Sequential:
    last = nn.Linear(shape.hidden, shape.dimensions)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, shape.hidden), nn.ReLU(), nn.Dropout(dropout), last)


class UserTower(nn.Module):
    """Pools the context vectors of recent events by position and refines the shortest pool."""

    scale: float

    def __init__(self, shape: TowerShape, schema: FeatureSchema) -> None:
        super().__init__()
        # A decay of zero pools the last item alone.
        self.register_buffer("decays", torch.tensor([*schema.decays, 0.0]), persistent=False)
        self.context = nn.Embedding(shape.n_items, shape.dimensions)
        inputs = (len(schema.decays) + 1) * shape.dimensions + len(schema.context_names)
        self.residual = _residual(inputs, shape, shape.dropout)
        self.scale = RESIDUAL_SCALE / shape.dimensions**0.5  # the base has length one

    def forward(self, users: UserTensors) -> Tensor:
        """(b, d) user vectors, before temperature; zero base for an empty history."""
        return self.refine(self.pools(users), users.context)

    def refine(self, pools: Tensor, context: Tensor) -> Tensor:
        """(b, d) user vectors from (b, p, d) pools and (b, c) context."""
        base = functional.normalize(pools[:, 0], dim=-1)
        refined = functional.rms_norm(pools, pools.shape[-1:], eps=1e-6).flatten(1)
        correction: Tensor = self.residual(torch.cat([refined, context], dim=1))
        refined_base: Tensor = base + self.scale * correction
        return refined_base

    def weights(self, users: UserTensors) -> Tensor:
        """(b, p, l) weights of events in each pool; they sum to one over the history."""
        position = (users.present.cumsum(dim=1) - 1).clamp(min=0)
        decays: Tensor = self.get_buffer("decays")
        weights = decays[None, :, None] ** position[:, None, :] * users.present[:, None, :]
        return weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-9)

    def pools(self, users: UserTensors) -> Tensor:
        """(b, p, d) weighted means of context vectors, one a decay; the last item comes last."""
        weights = self.weights(users)
        b, p, length = weights.shape
        rows = users.rows[:, None, :].expand(b, p, length)
        pooled = functional.embedding_bag(
            rows.reshape(b * p, length),
            self.context.weight,
            per_sample_weights=weights.reshape(b * p, length),
            mode="sum",
        )
        return pooled.view(b, p, -1)


class ItemTower(nn.Module):
    """Refines an item's target vector by its metadata, and stands in for an item without events."""

    scale: Tensor
    known: Tensor
    prior: Tensor
    cold_bias: Tensor
    cold_prior: Tensor
    metadata_to_target: Tensor

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.target = nn.Embedding(shape.n_items, shape.dimensions)
        self.bias = nn.Parameter(torch.zeros(shape.n_items))
        self.residual = _residual(shape.dimensions + shape.metadata, shape)
        self.register_buffer("scale", torch.zeros(()))
        self.register_buffer("known", torch.ones(shape.n_items, dtype=torch.bool))
        self.register_buffer("prior", torch.zeros(shape.n_items))
        self.register_buffer("cold_bias", torch.zeros(()))
        self.register_buffer("cold_prior", torch.zeros(()))
        self.register_buffer("metadata_to_target", torch.zeros(shape.metadata, shape.dimensions))

    def forward(self, target: Tensor, metadata: Tensor) -> Tensor:
        """(n, d) item vectors from (n, d) target vectors and (n, m) metadata."""
        refined = functional.rms_norm(target, target.shape[-1:], eps=1e-6)
        correction: Tensor = self.residual(torch.cat([refined, metadata], dim=1))
        return target + self.scale * correction

    def cold_targets(self, metadata: Tensor) -> Tensor:
        """(n, d) target vectors that metadata alone suggests, by ridge regression."""
        return metadata @ self.metadata_to_target

    def folded(self, metadata: Tensor) -> Tensor:
        """(n_items, d + 2) vectors of the whole catalogue: vector, bias, prior."""
        known = self.known[:, None]
        target = torch.where(known, self.target.weight, self.cold_targets(metadata))
        bias = torch.where(self.known, self.bias, self.cold_bias)[:, None]
        prior = torch.where(self.known, self.prior, self.cold_prior)[:, None]
        return torch.cat([self.forward(target, metadata), bias, prior], dim=1)


class TwoTower(nn.Module):
    """Both towers, the learned temperature that sharpens their inner product, and the head that the
    objective is learnt through; `models.head` has the one that serves."""

    def __init__(self, shape: TowerShape, schema: FeatureSchema) -> None:
        super().__init__()
        self.shape = shape
        self.schema = schema
        self.user = UserTower(shape, schema)
        self.item = ItemTower(shape)
        self.log_temperature = nn.Parameter(torch.tensor(30.0).log())
        self.head_scale = nn.Parameter(torch.tensor(1.0))
        self.head_bias = nn.Parameter(torch.tensor(0.0))
