"""What towers with frozen tables have learnt, put upon the tables of another log."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from torch import Tensor, nn

from models.metadata import MetadataEncoder
from models.scorer import TowerScorer
from models.two_tower import TwoTower

_SHARED = ("user.residual.", "item.residual.", "log_temperature", "head_")


@dataclass(frozen=True)
class Learnt:
    """Networks and biases, in the basis of the tables that they were trained upon.

    Attributes:
        model: the towers, `share` of the way from the start of their training.
        encoder: of item metadata.
        share: above zero.
        rows: (n,) int64 rows in `model` of the n items of the catalogue to train on; -1 for new.
    """

    model: TwoTower
    encoder: MetadataEncoder
    share: float
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, scorer: TowerScorer, share: float) -> "Learnt | None":
        """By a snapshot, for its own catalogue; None where the snapshot is the start itself."""
        rows = np.arange(len(scorer.item_vectors))
        return cls(scorer.model, scorer.encoder, share, rows) if share > 0 else None

    @torch.no_grad()
    def put_into(self, model: TwoTower) -> None:
        """Turns the tables of `model`, a start from transitions, into the basis that the networks
        know, and sets networks and biases as if all of the way had been taken."""
        common = torch.from_numpy(np.flatnonzero(self.rows >= 0))
        old = torch.from_numpy(self.rows)[common]
        both = model.item.known[common] & self.model.item.known[old]
        rotation = alignment(
            [table[common[both]] for table in tables(model)],
            [table[old[both]] for table in tables(self.model)],
        )
        for table in (*tables(model), model.item.metadata_to_target):
            table.copy_(table @ rotation)
        learnt = dict(self.model.named_parameters())
        for name, parameter in model.named_parameters():
            if name.startswith(_SHARED):
                parameter.copy_(learnt[name])
        model.item.bias[common] = learnt["item.bias"][old] / self.share
        for layer in last_layers(model):
            layer.weight.div_(self.share)
            layer.bias.div_(self.share)


def alignment(tables: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """The (d, d) orthogonal matrix that turns tables so that they are nearest to others (Schönemann
    1966).

    A singular value decomposition is unique up to signs, and rotations among nearly equal values;
    inner products of tables that are turned alike stay as they are.

    Args:
        tables, others: (n, d) each, row by row of the same items.
    """
    one, other = (torch.cat(list(each)).double().numpy() for each in (tables, others))
    rotation, _scale = orthogonal_procrustes(one, other)
    return torch.from_numpy(rotation).float()


def tables(model: TwoTower) -> list[Tensor]:
    """Context and target vectors of the items, (n, d) each."""
    return [model.user.context.weight, model.item.target.weight]


def last_layers(model: TwoTower) -> list[nn.Linear]:
    """Those that are zero at the start from transitions."""
    layers = [model.user.residual[-1], model.item.residual[-1]]
    assert all(isinstance(layer, nn.Linear) for layer in layers)
    return layers  # type: ignore[return-value]  # what a Sequential holds is any module
