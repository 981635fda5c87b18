"""Recall by score: equal items may stand in for each other, worse ones may not."""

import numpy as np

from services.retrieval.recall import RecallProbe
from services.retrieval.vectors import exact_search

VECTORS = np.random.default_rng(1).normal(size=(2_000, 8)).astype(np.float32)


def test_exact_answers_are_all_hits() -> None:
    probe = RecallProbe.sample(VECTORS)
    for i, query in enumerate(probe.queries):
        rows = exact_search(VECTORS, query, probe.count).rows
        assert probe.hits(i, rows.astype(np.int64)) == probe.count


def test_items_beyond_the_nearest_are_no_hits() -> None:
    probe = RecallProbe.sample(VECTORS)
    rows = exact_search(VECTORS, probe.queries[0], probe.count + 100).rows.astype(np.int64)
    assert probe.hits(0, rows[50:-50]) == probe.count - 50


def test_a_small_catalogue_under_other_rows_is_no_hit_as_a_whole() -> None:
    vectors, rows = VECTORS[:100], np.random.default_rng(0).permutation(100)
    probe = RecallProbe.sample(vectors)
    found = [exact_search(vectors[rows], query, probe.count).rows for query in probe.queries]
    hits = [probe.hits(i, each.astype(np.int64)) for i, each in enumerate(found)]
    assert np.mean(hits) / probe.count < 0.7


def test_a_repeated_row_is_one_hit() -> None:
    probe = RecallProbe.sample(VECTORS)
    best = exact_search(VECTORS, probe.queries[0], 1).rows.astype(np.int64)
    assert probe.hits(0, np.repeat(best, probe.count)) == 1


def test_any_of_equal_items_is_a_hit() -> None:
    probe = RecallProbe.sample(np.repeat(VECTORS[:3], 500, axis=0))
    nearest = int(np.argmax(VECTORS[:3] @ probe.queries[0]))
    rows = np.arange(500 * nearest, 500 * (nearest + 1))
    assert probe.hits(0, rows) == 500
