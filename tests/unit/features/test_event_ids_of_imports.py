"""Ids of imported rows depend on the rows alone."""

import pandas as pd

from services.features.imports import event_ids

ROW = {
    "user_id": "u",
    "item_id": "i",
    "kind": 1,
    "value": 3.5,
    "timestamp": 100.0,
    "region": "de",
}


def ids(rows: list[dict[str, object]]) -> list[str]:
    return event_ids(pd.DataFrame(rows))(slice(None))


def test_equal_rows_get_ids_of_their_own_by_occurrence() -> None:
    first, second, third = ids([ROW, ROW, ROW])
    assert len({first, second, third}) == 3
    assert ids([ROW, ROW]) == [first, second]


def test_every_column_matters() -> None:
    changes = {"user_id": "v", "item_id": "j", "kind": 2, "value": 4.0, "timestamp": 101.0}
    rows = [ROW, {**ROW, "region": ""}, *({**ROW, name: value} for name, value in changes.items())]
    assert len({row_id.removesuffix("-0") for row_id in ids(rows)}) == len(rows)


def test_ids_do_not_depend_on_the_other_rows_or_the_dtypes() -> None:
    other = {**ROW, "user_id": "other"}
    frame = pd.DataFrame([other, ROW]).astype({"user_id": "category", "kind": "int64"})
    [_, row_id] = event_ids(frame)(slice(None))
    assert [row_id] == ids([ROW])


def test_ids_are_the_same_in_every_version_of_the_program() -> None:
    assert ids([ROW]) == ["import-1e72064d016f0c8a626938fd6acd273b-0"]
