"""What retrieval needs of a release, loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.history import UserHistory
from models.matrix_factorization import FactorizationConfig, FoldIn
from models.release import Release, ReleaseError
from models.scorer import TwoTowerScorer
from services.retrieval.vectors import Space, VectorTable


class UserTower(Protocol):
    """The user side of the two towers."""

    def user_vector(self, user: UserHistory) -> NDArray[np.float32]:
        """(d,) vector; its inner product with an item vector is the model's score."""


@dataclass(frozen=True, eq=False)
class LoadedRelease:
    """What retrieval needs of a release. Each time that one is loaded it is another.

    Attributes:
        release: arrays and item table.
        tower: makes user vectors in tower space.
        fold_in: makes user vectors in matrix-factorization space.
        tables: what each vector collection of the release holds.
    """

    release: Release
    tower: UserTower
    fold_in: FoldIn
    tables: dict[Space, VectorTable]

    @property
    def release_id(self) -> str:
        return self.release.release_id

    def __len__(self) -> int:
        return len(self.release.items)


def load_release(root: Path, release_id: str) -> LoadedRelease:
    """Reads a release folder. Blocks.

    Raises:
        ReleaseError: it is missing, incomplete or damaged.
    """
    release = Release(root / release_id)
    release.verify()
    items = release.items
    tables = {
        space: VectorTable(vectors, items.adult, items.available)
        for space, vectors in (
            (Space.TOWER, release.item_vectors),
            (Space.MF, release.item_factors),
        )
    }
    _ = items.row_of, release.neighbour_rows, release.neighbour_scores, release.popular_rows
    _ = release.transition_rows, release.transition_scores, release.ease_rows, release.ease_scores
    return LoadedRelease(release, TwoTowerScorer(release), _fold_in(release), tables)


def _fold_in(release: Release) -> FoldIn:
    settings = release.manifest.config.get("factorization", {})
    try:
        return FoldIn(release.item_factors, FactorizationConfig(**settings))
    except TypeError as error:
        raise ReleaseError(f"{release.path}: factorization settings: {error}") from None
