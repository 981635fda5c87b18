"""A small release on disk, untrained, whose neighbours and popularity are known by heart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from models import release as files
from models.features import FeatureSchema
from models.history import Surroundings, UserHistory
from models.metadata import MetadataEncoder
from models.release import Release, ReleaseWriter
from models.scorer import save_towers
from models.two_tower import TowerShape, TwoTower
from services.retrieval.loaded import LoadedRelease, load_release
from services.retrieval.query import Query

FACTORS = 4


@dataclass(frozen=True)
class World:
    """A release, as a folder and in memory."""

    root: Path
    loaded: LoadedRelease

    @property
    def release(self) -> Release:
        return self.loaded.release

    def query(
        self,
        rows: Sequence[int] = (),
        *,
        kinds: Sequence[int] | None = None,
        factors: Sequence[float] = (),
        count: int = 10,
        exclude: Sequence[int] = (),
        seconds: float = 5.0,
        around: Surroundings | None = None,
    ) -> Query:
        """A query of a user with a history, oldest first; all are clicks unless said otherwise."""
        excluded = np.zeros(len(self.loaded), dtype=np.bool_)
        excluded[list(exclude)] = True
        user = UserHistory(
            rows=np.array(rows, dtype=np.int32),
            kinds=np.array(kinds or [2] * len(rows), dtype=np.int8),
            ages=np.zeros(len(rows), dtype=np.float32),
            values=np.zeros(len(rows), dtype=np.float32),
            time=0.0,
            factors=np.array(factors, dtype=np.float32),
            around=around or Surroundings(),
        )
        return Query(self.loaded, user, count, excluded, int(excluded.sum()), seconds)


def make_world(root: Path, items: int = 50) -> World:
    release_id = write_release(root, items).release_id
    return World(root, load_release(root, release_id))


def write_release(root: Path, items: int, seed: int = 0) -> Release:
    """Writes a release with untrained towers.

    Item i's neighbours are i+1 (.5) and i+2 (.25); popularity falls with the row.
    """
    rng = np.random.default_rng(seed)
    schema, encoder = FeatureSchema(), MetadataEncoder(("Drama",))
    model = TwoTower(TowerShape(items, encoder.width, dimensions=16, hidden=8), schema).eval()
    model.item.metadata_to_target.normal_()
    genres: list[tuple[str, ...]] = [("Drama",)] * items
    years = np.full(items, 1999, dtype=np.int16)
    rows = np.arange(items)[:, np.newaxis]
    with ReleaseWriter(root) as writer:
        metadata = encoder.encode(genres, years)
        writer.array(files.ITEM_VECTORS, folded_items(model, metadata))
        factors = rng.normal(size=(items, FACTORS)).astype(np.float32)
        writer.array(files.ITEM_FACTORS, factors)
        writer.array(files.USER_FACTORS, factors[:3])
        steps = np.array([1, 2])
        neighbours = np.where(rows + steps < items, rows + steps, -1)
        neighbours = np.hstack([neighbours, np.full((items, 1), -1)]).astype(np.int32)
        writer.array(files.NEIGHBOUR_ROWS, neighbours)
        scores = np.where(neighbours >= 0, np.array([0.5, 0.25, 0.0]), 0.0).astype(np.float32)
        writer.array(files.NEIGHBOUR_SCORES, scores)
        for rows_name, scores_name in (
            (files.TRANSITION_ROWS, files.TRANSITION_SCORES),
            (files.EASE_ROWS, files.EASE_SCORES),
        ):
            writer.array(rows_name, neighbours)
            writer.array(scores_name, scores)
        writer.array(files.POPULAR_ROWS, np.arange(items, dtype=np.int32))
        writer.table(files.ITEMS, _item_table(genres, years))
        save_towers(writer.path / files.MODEL, model, encoder)
        return writer.commit(
            cut_off=0.0,
            n_items=items,
            n_users=3,
            n_events=0,
            feature_schema=schema.fingerprint,
            config={},
            metrics={},
        )


def folded_items(model: TwoTower, metadata: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        vectors: NDArray[np.float32] = model.item.folded(torch.from_numpy(metadata)).numpy()
    return vectors


def _item_table(genres: list[tuple[str, ...]], years: NDArray[np.int16]) -> pd.DataFrame:
    n = len(genres)
    return pd.DataFrame(
        {
            "item_id": [f"item-{row}" for row in range(n)],
            "title": [f"Title {row}" for row in range(n)],
            "genres": [list(names) for names in genres],
            "year": years,
            "adult": np.zeros(n, dtype=np.bool_),
            "available": np.ones(n, dtype=np.bool_),
        }
    )
