"""A file read in tiny blocks is the file read at once."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.data import DataError
from training.fields import Identifier, Number, Text, Time
from training.readers import read
from training.sequences import event_sequences
from training.tables import read_table

FIELDS = (Identifier("id"), Number("stars"), Time("time"), Text("note"))
HEADER = "extra,time,id,note,stars\n"
TINY = 64

# Ids that numbers would not keep, quotes, letters of several bytes, blanks around.
IDS = st.sampled_from(["7", "007", "7.0", " 7", "ä", "名", '"a,b"', '"two\nlines"', "1e3", "nan"])
ROWS = st.tuples(
    IDS,
    st.sampled_from(["0.5", "5", " 3 "]),
    st.sampled_from(["0", "17.25", "1704067200", "2024-01-01T00:00:00Z"]),
    st.sampled_from(["", "x", '"say ""hi"""']),
)


def written(folder: Path, rows: list[tuple[str, str, str, str]], end: str) -> Path:
    path = folder / "table.csv"
    lines = "".join(f"-,{time},{id_},{note},{stars}{end}" for id_, stars, time, note in rows)
    path.write_text(HEADER.replace("\n", end) + lines, newline="")
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=40), end=st.sampled_from(["\n", "\r\n"]))
def test_tiny_blocks_read_like_one(
    tmp_path: Path, rows: list[tuple[str, str, str, str]], end: str
) -> None:
    path = written(tmp_path, rows, end)
    whole = read_table(path, FIELDS)
    pd.testing.assert_frame_equal(read_table(path, FIELDS, TINY), whole)
    assert whole["id"].tolist() == [id_.strip().strip('"') for id_, *_ in rows]
    assert whole["stars"].tolist() == [float(stars) for _, stars, *_ in rows]


@pytest.mark.parametrize("size", range(TINY, TINY + 24))
def test_a_block_may_end_anywhere_in_a_record(tmp_path: Path, size: int) -> None:
    rows = [(f"user-{n % 5}", "4.5", str(n), '"a\nb"') for n in range(30)]
    frame = read_table(written(tmp_path, rows, "\n"), FIELDS, size)
    assert frame["time"].tolist() == list(range(30))
    assert frame["id"].tolist() == [f"user-{n % 5}" for n in range(30)]
    assert list(frame["id"].cat.categories) == [f"user-{n}" for n in range(5)]


def test_ids_are_numbers_inside_and_texts_outside(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, [("007", "1", "1", "")] * 3, "\n"), FIELDS, TINY)
    assert frame["id"].cat.codes.tolist() == [0, 0, 0]
    assert frame["id"].tolist() == ["007"] * 3


def test_a_fault_in_a_late_block_is_named_with_its_line(tmp_path: Path) -> None:
    rows = [("u", "1", str(n), "") for n in range(200)]
    rows[150] = ("u", "many", "150", "")
    with pytest.raises(DataError, match=r"table\.csv:152: stars: 'many' is not a number"):
        read_table(written(tmp_path, rows, "\n"), FIELDS, TINY)


def test_a_fault_in_a_late_row_group_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    stars = np.ones(100)
    stars[70] = np.nan
    table = pd.DataFrame({"id": "u", "stars": stars, "time": 1.0, "note": ""})
    table.to_parquet(path, row_group_size=16)
    with pytest.raises(DataError, match=r"table\.parquet:71: stars: '.*' is not"):
        read_table(path, FIELDS, TINY)


def test_parquet_in_tiny_blocks_reads_like_one(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    ids = [f"0{n % 7}" for n in range(100)]
    pd.DataFrame({"id": ids, "stars": 1.5, "time": range(100), "note": "n"}).to_parquet(path)
    frame = read_table(path, FIELDS, TINY)
    pd.testing.assert_frame_equal(frame, read_table(path, FIELDS))
    assert frame["id"].tolist() == ids


def test_a_log_read_in_tiny_blocks_gives_the_same_sequences(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        f"{user},{item},{rng.integers(1, 11) / 2},{rng.integers(0, 40)}\n"
        for user in ("9", "09", "a")
        for item in rng.permutation(30)
    ]
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "".join(rows))
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n3,Three,Drama\n")
    whole, pieces = read(tmp_path), read(tmp_path, block_bytes=TINY)
    pd.testing.assert_frame_equal(pieces.events, whole.events)
    pd.testing.assert_frame_equal(pieces.items, whole.items)
    first, second = event_sequences(whole), event_sequences(pieces)
    assert first.rows.tolist() == second.rows.tolist()
    assert first.offsets.tolist() == second.offsets.tolist() == [0, 30, 60, 90]
