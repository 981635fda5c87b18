"""The item table of a release, as written now and by earlier versions."""

from pathlib import Path

import numpy as np
import pandas as pd

from models.release import ITEMS, Release, ReleaseWriter

OLD = pd.DataFrame(
    {
        "item_id": ["a", "b"],
        "title": ["A", ""],
        "genres": [["Drama"], []],
        "year": np.array([1999, 0], np.int16),
        "adult": [False, True],
        "available": [True, False],
    }
)


def written(root: Path, items: pd.DataFrame) -> Release:
    with ReleaseWriter(root) as writer:
        writer.table(ITEMS, items)
        return writer.commit(
            cut_off=0.0,
            n_items=len(items),
            n_users=0,
            n_events=0,
            feature_schema="",
            config={},
            metrics={},
        )


def test_items_are_read_as_they_were_written(tmp_path: Path) -> None:
    table = OLD.assign(
        creators=pd.Series([["Ann", "Bob"], []], dtype=object),
        available_from=[1.7e9, 0.0],
        available_until=[1.8e9 + 0.25, np.inf],
    )
    items = Release(written(tmp_path, table).path).items
    assert items.genres == [("Drama",), ()]
    assert items.creators == [("Ann", "Bob"), ()]
    assert items.available_from.tolist() == [1.7e9, 0.0]
    assert items.available_until.tolist() == [1.8e9 + 0.25, np.inf]
    assert items.available_until.dtype == items.available_from.dtype == np.float64


def test_items_of_a_release_of_an_earlier_version_are_shown_for_ever(tmp_path: Path) -> None:
    items = Release(written(tmp_path, OLD).path).items
    assert items.ids.tolist() == ["a", "b"] and items.available.tolist() == [True, False]
    assert items.creators == [(), ()]
    assert items.available_from.tolist() == [0.0, 0.0]
    assert items.available_until.tolist() == [np.inf, np.inf]
