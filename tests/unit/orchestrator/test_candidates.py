import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.candidates import Candidates, merge


def of(name: str, *rows: int) -> Candidates:
    return Candidates.of_source(
        name, np.array(rows, np.int32), np.arange(len(rows), 0, -1).astype(np.float32)
    )


def test_an_item_found_twice_keeps_its_first_score_and_all_its_sources() -> None:
    merged = merge([of("ann", 7, 3), of("popular", 3, 9, 7)])
    assert merged.rows.tolist() == [7, 3, 9]
    assert merged.scores.tolist() == [2.0, 1.0, 2.0]
    assert [merged.sources_of(at) for at in range(3)] == [
        ["ann", "popular"],
        ["ann", "popular"],
        ["popular"],
    ]


def test_columns_follow_their_items_through_a_merge() -> None:
    parts = [of("a", 1, 2), of("b", 2, 3)]
    parts = [part.with_columns({"twice": part.rows * 2}) for part in parts]
    merged = merge(parts)
    assert merged.columns["twice"].tolist() == [2, 4, 6]


@given(st.lists(st.lists(st.integers(0, 30), unique=True, max_size=20), max_size=4))
def test_merging_loses_no_item_and_invents_none(found: list[list[int]]) -> None:
    merged = merge([of(f"s{i}", *rows) for i, rows in enumerate(found)])
    assert sorted(merged.rows.tolist()) == sorted({row for rows in found for row in rows})
    for at, row in enumerate(merged.rows.tolist()):
        expected = {f"s{i}" for i, rows in enumerate(found) if row in rows}
        assert set(merged.sources_of(at)) == expected
