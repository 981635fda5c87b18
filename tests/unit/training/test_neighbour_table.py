"""The comparison of neighbours: every combination once, and scores as by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from models.neighbours import METRICS, MISSING, item_neighbours, user_neighbours
from tests.unit.training.logs import sequences
from training.neighbour_table import SHRINKS, SIDES, compare, main, same_as_zero
from training.utility import composite_utility

# Two tastes, items 0-3 and 4-7; every user's last event stays within the own one.
LOG = sequences(
    [0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0],
    [4, 5, 6, 7], [5, 4, 7, 6], [6, 7, 4, 5], [7, 6, 5, 4],
)  # fmt: skip


def test_every_combination_occurs_once() -> None:
    rows = list(compare(LOG, n_items=8, m=4))
    keys = [(row.side, row.metric, row.missing, row.shrink) for row in rows]
    assert len(set(keys)) == len(keys)
    expected = sum(not same_as_zero(metric, rule) for metric in METRICS for rule in MISSING)
    assert len(keys) == len(SIDES) * len(SHRINKS) * expected


def test_neighbours_find_the_planted_taste() -> None:
    for row in compare(LOG, n_items=8, m=4):
        if row.missing == "zero" and row.metric in ("cosine", "jaccard", "dot"):
            assert (row.hr, row.ndcg) == (1.0, 1.0), row  # the one unseen item of the taste


def test_what_the_table_leaves_out_is_the_same_by_definition() -> None:
    utility = composite_utility(LOG, 8)
    for metric in METRICS:
        for missing in MISSING:
            if same_as_zero(metric, missing):
                for find in (item_neighbours, user_neighbours):
                    left_out = find(utility, metric=metric, missing=missing)
                    shown = find(utility, metric=metric, missing="zero")
                    np.testing.assert_array_equal(left_out.rows, shown.rows)
                    np.testing.assert_array_equal(left_out.scores, shown.scores)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_table_is_printed(tmp_path: Path, as_json: bool) -> None:
    lines = ["userId,movieId,rating,timestamp"]
    lines += [f"{u},{i},{1 + (u + i) % 5},{10 * u + i}" for u in range(4) for i in range(5)]
    (tmp_path / "ratings.csv").write_text("\n".join(lines) + "\n")
    movies = ["movieId,title,genres"] + [f"{i},Film {i} (1999),Drama" for i in range(5)]
    (tmp_path / "movies.csv").write_text("\n".join(movies) + "\n")
    options = ["--data", str(tmp_path), *(["--json"] if as_json else [])]
    printed = CliRunner().invoke(main, options, catch_exceptions=False)
    assert printed.exit_code == 0
    if as_json:
        first = json.loads(printed.stdout)[0]
        assert first["side"] == "item" and 0 <= first["recall@100"] <= 1
    else:
        assert printed.stdout.startswith("| side | metric | missing | shrink | hr@10 |")
