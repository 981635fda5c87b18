"""The merged list: quotas, no duplicates, attribution, order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.retrieval.merge import Quota, merge
from services.retrieval.vectors import Found

QUOTAS = {
    "first": Quota(share=0.5, weight=1.0),
    "second": Quota(share=0.2, weight=0.5),
    "third": Quota(share=0.1, weight=0.01),
}


def found(*rows: int) -> Found:
    return Found(np.array(rows, dtype=np.int32), np.linspace(1, 0, len(rows)).astype(np.float32))


lists = st.fixed_dictionaries(
    {name: st.lists(st.integers(0, 60), unique=True, max_size=40) for name in QUOTAS}
)
counts = st.integers(1, 60)


@given(lists, counts)
def test_every_candidate_is_there_once_and_was_found(
    rows: dict[str, list[int]], count: int
) -> None:
    merged = merge({name: found(*part) for name, part in rows.items()}, QUOTAS, count)
    union = set().union(*rows.values())
    assert len(set(merged.rows.tolist())) == len(merged.rows) == min(count, len(union))
    assert set(merged.rows.tolist()) <= union


@given(lists, counts)
def test_scores_do_not_increase(rows: dict[str, list[int]], count: int) -> None:
    merged = merge({name: found(*part) for name, part in rows.items()}, QUOTAS, count)
    assert len(merged.scores) == len(merged.rows)
    assert (np.diff(merged.scores) <= 0).all()


@given(lists, counts)
def test_every_source_gets_its_quota(rows: dict[str, list[int]], count: int) -> None:
    merged = merge({name: found(*part) for name, part in rows.items()}, QUOTAS, count)
    for name, quota in QUOTAS.items():
        assert set(rows[name][: int(quota.share * count)]) <= set(merged.rows.tolist())


@given(lists, counts)
def test_attribution_names_every_finder_in_its_own_order(
    rows: dict[str, list[int]], count: int
) -> None:
    sources = {name: found(*part) for name, part in rows.items()}
    merged = merge(sources, QUOTAS, count)
    for name, part in rows.items():
        kept = [row for row in part if row in merged.rows]
        assert merged.rows[merged.positions[name]].tolist() == kept
        places = [part.index(row) for row in kept]
        np.testing.assert_array_equal(merged.source_scores[name], sources[name].scores[places])


def test_an_item_that_two_sources_found_goes_before_one_that_one_found() -> None:
    merged = merge({"first": found(1, 2), "second": found(2)}, QUOTAS, 2)
    assert merged.rows.tolist() == [2, 1]


def test_a_source_with_little_weight_keeps_its_quota_at_the_end() -> None:
    merged = merge({"first": found(*range(100)), "third": found(500, 501)}, QUOTAS, 10)
    assert merged.rows.tolist() == [*range(9), 500]


def test_nothing_found_is_an_empty_answer() -> None:
    merged = merge({"first": found(), "second": found()}, QUOTAS, 10)
    assert len(merged.rows) == 0
    assert merged.positions.keys() == {"first", "second"}
