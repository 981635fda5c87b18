"""A small release on disk, queries on it, and a database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from models.release import (
    ITEM_VECTORS,
    ITEMS,
    POPULAR_ROWS,
    USER_FACTORS,
    USERS,
    Release,
    ReleaseWriter,
)
from services.common.database import open_database
from services.common.deadlines import Budget
from services.orchestrator.candidates import Query
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.rules_yaml import ActiveRules

N_ITEMS = 40
UNDIVERSIFIED = ActiveRules.of("diversity: {method: none}")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'tandem.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """40 items i0..i39, i5 not available; vectors in two tight clusters: even and odd rows."""
    rows = np.arange(N_ITEMS)
    with ReleaseWriter(tmp_path) as writer:
        writer.table(
            ITEMS,
            pd.DataFrame(
                {
                    "item_id": [f"i{row}" for row in rows],
                    "title": [f"Item {row}" for row in rows],
                    "genres": [["even" if row % 2 == 0 else "odd"] for row in rows],
                    "year": np.full(N_ITEMS, 2000, np.int16),
                    "adult": np.zeros(N_ITEMS, bool),
                    "available": rows != 5,
                }
            ),
        )
        writer.table(
            USERS, pd.DataFrame({"user_id": ["a", "b", "c"], "region": "", "friends": [[]] * 3})
        )
        noise = np.random.default_rng(0).normal(0, 0.01, (N_ITEMS, 4))
        vectors = np.stack([rows % 2 == 0, rows % 2 == 1, rows * 0, rows * 0], axis=1) + noise
        writer.array(ITEM_VECTORS, vectors.astype(np.float32))
        writer.array(USER_FACTORS, np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32))
        writer.array(POPULAR_ROWS, rows.astype(np.int32))
        return writer.commit(
            cut_off=0,
            n_items=N_ITEMS,
            n_users=3,
            n_events=0,
            feature_schema="",
            config={},
            metrics={},
        )


@pytest.fixture
def query(release: Release) -> Callable[..., Query]:
    def make(**changes: object) -> Query:
        known = {
            "request_id": "r",
            "user_id": "a",
            "count": 10,
            "time": 1e9,
            "catalogue": Catalogue.of(release),
            "budget": Budget.of(5),
            "active": UNDIVERSIFIED,
        }
        return Query(**{**known, **changes})  # type: ignore[arg-type]

    return make
