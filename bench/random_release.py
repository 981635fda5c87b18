"""Releases with random towers: enough where only speed or plumbing matters."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from models.features import FeatureSchema
from models.history import UserHistory
from models.metadata import MetadataEncoder
from models.release import (
    ITEM_FACTORS,
    ITEM_VECTORS,
    ITEMS,
    MODEL,
    POPULAR_ROWS,
    USERS,
    Release,
    ReleaseWriter,
)
from models.scorer import FOLDED_COLUMNS, save_towers
from models.two_tower import TowerShape, TwoTower

_N_FACTORS = 20


def write_random_release(root: Path, n_items: int, dimensions: int, seed: int) -> Release:
    """Writes a release whose towers and vectors are random.

    Args:
        root: folder of releases.
        n_items: items it holds.
        dimensions: width of the towers' output.
        seed: two seeds, two models.
    """
    root.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    genres: list[tuple[str, ...]] = [("comedy", "drama")[: 1 + row % 2] for row in range(n_items)]
    years = np.full(n_items, 2001, dtype=np.int16)
    encoder = MetadataEncoder.fit(genres)
    shape = TowerShape(n_items, encoder.width, dimensions=dimensions)
    model = TwoTower(shape, FeatureSchema())
    model.item.metadata_to_target.normal_()
    vectors = rng.standard_normal((n_items, dimensions + FOLDED_COLUMNS)).astype(np.float32)
    with ReleaseWriter(root) as writer:
        writer.table(ITEMS, _items(genres, years))
        writer.array(ITEM_VECTORS, vectors)
        writer.array(ITEM_FACTORS, rng.standard_normal((n_items, _N_FACTORS)).astype(np.float32))
        writer.table(
            USERS, pd.DataFrame({"user_id": [], "region": [], "friends": []}, dtype=object)
        )
        writer.array(POPULAR_ROWS, np.arange(n_items, dtype=np.int32))
        save_towers(writer.path / MODEL, model, encoder)
        return writer.commit(
            cut_off=0.0,
            n_items=n_items,
            n_users=0,
            n_events=0,
            feature_schema=model.schema.fingerprint,
            config={},
            metrics={},
        )


def _items(genres: list[tuple[str, ...]], years: NDArray[np.int16]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_id": [f"item-{row}" for row in range(len(years))],
            "title": "",
            "genres": genres,
            "year": years,
            "adult": False,
            "available": True,
        }
    )


def clicked(*rows: int) -> UserHistory:
    """A user who clicked the rows one minute apart."""
    n = len(rows)
    return UserHistory(
        rows=np.array(rows, dtype=np.int32),
        kinds=np.full(n, 2, dtype=np.int8),
        ages=60.0 * np.arange(n, dtype=np.float32)[::-1],
        values=np.zeros(n, dtype=np.float32),
        time=1.7e9,
    )
