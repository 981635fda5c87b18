"""Logs are read as they are meant, and broken ones refused in one line that says where."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.events import EventKind
from training.data import DataError
from training.readers import read, read_items

RATINGS = "userId,movieId,rating,timestamp\n"
MOVIES = (
    'movieId,title,genres\n1,Toy Story (1995),Adventure|Children\n2,"Big, The",(no genres listed)\n'
)
EVENTS = "user_id,item_id,event,value,timestamp,region\n"


def movielens(folder: Path, ratings: str | bytes, movies: str = MOVIES) -> Path:
    (folder / "movies.csv").write_text(movies)
    (folder / "ratings.csv").write_bytes(ratings.encode() if isinstance(ratings, str) else ratings)
    return folder


def general(folder: Path, events: str) -> Path:
    (folder / "events.csv").write_text(events)
    return folder


def test_movielens_becomes_ratings_in_order_of_time(tmp_path: Path) -> None:
    data = read(movielens(tmp_path, RATINGS + "7,2,4.5,20\n7,1,3.0,10\n8,1,5,20\n"))
    assert data.events["item_id"].tolist() == ["1", "2", "1"]
    assert data.events["user_id"].tolist() == ["7", "7", "8"]
    assert data.events["value"].tolist() == [3.0, 4.5, 5.0]
    assert set(data.events["kind"]) == {EventKind.RATING}
    assert data.items["title"].tolist() == ["Toy Story (1995)", "Big, The"]
    assert data.items["genres"].tolist() == [("Adventure", "Children"), ()]
    assert data.items["year"].tolist() == [1995, 0]


def test_a_general_log_takes_both_kinds_of_time_and_empty_fields(tmp_path: Path) -> None:
    general(
        tmp_path,
        EVENTS + "u,i,watch,1.5,2024-01-01T00:00:00Z,no\nu,j,CLICK,,1704067201,\n",
    )
    (tmp_path / "items.csv").write_text("item_id,title,genres,adult\ni,One,a|b,true\n")
    (tmp_path / "users.csv").write_text("user_id,region,friends\nu,no,v|w\n")
    data = read(tmp_path)
    assert data.events["timestamp"].tolist() == [1704067200.0, 1704067201.0]
    assert data.events["kind"].tolist() == [EventKind.WATCH, EventKind.CLICK]
    assert data.events["value"].tolist() == [1.5, 0.0]
    assert data.events["region"].tolist() == ["no", ""]
    known = ["i", "One", ("a", "b"), 0, True, True]
    assert data.items.iloc[0].tolist() == [*known, (), 0.0, math.inf]
    assert data.users["friends"].tolist() == [("v", "w")]


def test_parquet_reads_like_csv(tmp_path: Path) -> None:
    as_csv = general(tmp_path, EVENTS + "u,i,rating,4,10,\nv,j,like,,11,se\n")
    expected = read(as_csv).events
    frame = pd.read_csv(tmp_path / "events.csv")
    (tmp_path / "events.csv").unlink()
    frame.to_parquet(tmp_path / "events.parquet")
    pd.testing.assert_frame_equal(read(tmp_path).events, expected)


def test_times_break_ties_by_file_order(tmp_path: Path) -> None:
    rows = "".join(f"u,{item},view,,5,\n" for item in "cab")
    assert read(general(tmp_path, EVENTS + rows)).events["item_id"].tolist() == list("cab")


def test_further_files_are_merged_in(tmp_path: Path) -> None:
    folder = movielens(tmp_path, RATINGS + "7,2,4.5,20\n")
    also = tmp_path / "more.csv"
    also.write_text(EVENTS + "7,1,like,,15,\n")
    assert read(folder, [also]).events["item_id"].tolist() == ["1", "2"]


def test_repeated_events_are_skipped_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = read(general(tmp_path, EVENTS + "u,i,view,,5,\n" * 3))
    assert len(data.events) == 1
    assert [row.line for row in data.skipped] == [3, 4]
    assert "events.csv:3: 2 repeated rows skipped" in caplog.text


@pytest.mark.parametrize(
    ("ratings", "line", "reason"),
    [
        ("", 1, "is empty"),
        (RATINGS, 1, "holds no rows"),
        ("userId,movieId,timestamp\n1,1,1\n", 1, "rating: column is missing"),
        (RATINGS + "1,1,4.0,1\n1,2,good,2\n", 3, "rating: 'good' is not a number"),
        (RATINGS + "1,1,nan,1\n", 2, "rating: 'nan' is not finite"),
        (RATINGS + "1,1,inf,1\n", 2, "rating: 'inf' is not finite"),
        (RATINGS + "1,1,-1,1\n", 2, "rating: -1 is not within 0 and 10"),
        (RATINGS + "1,1,4,1\n1,2,11,1\n", 3, "rating: 11 is not within 0 and 10"),
        (RATINGS + "1,1,4,yesterday\n", 2, "timestamp: 'yesterday' is neither"),
        (RATINGS + ",1,4,1\n", 2, "userId: is empty"),
        (RATINGS + f"1,{'x' * 129},4,1\n", 2, "movieId: is longer than 128 characters"),
        (RATINGS + "1,1,4,1\n1,2,4\n", 3, "has 3 fields, the header names 4"),
        (RATINGS.encode() + b"1,1,4,1\n\xff\xfe,1,4,1\n", 3, "userId: is not UTF-8"),
        (RATINGS + '"1\n",1,4,1\n2,1,x,1\n', 4, "rating: 'x' is not a number"),
        (b"\xff\xfe" + RATINGS.encode(), 1, "is not UTF-8"),
    ],
)
def test_a_broken_ratings_file_is_refused_with_its_line(
    tmp_path: Path, ratings: str | bytes, line: int, reason: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(movielens(tmp_path, ratings))
    text = str(caught.value)
    assert f"ratings.csv:{line}: {reason}" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("events", "line", "reason"),
    [
        (EVENTS + "u,i,stare,,1,\n", 2, "event: unknown event kind 'stare'; one of rating, view"),
        (EVENTS + "u,i,view,,1700000000000,\n", 2, "timestamp: '1700000000000' is not a time in"),
        (EVENTS + "u,i,watch,-2,1,\n", 2, "value: -2 is not within 0"),
        (EVENTS + "u,i,view,,,\n", 2, "timestamp: '' is neither"),
    ],
)
def test_a_broken_general_log_is_refused_with_its_line(
    tmp_path: Path, events: str, line: int, reason: str
) -> None:
    with pytest.raises(DataError, match=rf"events\.csv:{line}: {reason}"):
        read(general(tmp_path, events))


@pytest.mark.parametrize("layout", [movielens, general])
def test_a_rating_given_twice_is_refused(tmp_path: Path, layout: Callable[..., Path]) -> None:
    row, header = ("1,1,4,1\n", RATINGS) if layout is movielens else ("u,i,rating,4,1,\n", EVENTS)
    with pytest.raises(DataError, match=r"\.csv:3: rating: the rating repeats an earlier row"):
        read(layout(tmp_path, header + row * 2))


def test_an_item_described_twice_is_refused(tmp_path: Path) -> None:
    general(tmp_path, EVENTS + "u,i,view,,1,\n")
    (tmp_path / "items.csv").write_text("item_id,title\ni,One\ni,Two\n")
    with pytest.raises(DataError, match=r"items\.csv:3: item_id: 'i' occurs twice"):
        read(tmp_path)


ITEMS = "item_id,creators,available_from,available_until\n"


def test_items_have_creators_and_times_of_both_kinds(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text(ITEMS + "i,Ann|Bob|Ann,2024-01-01T00:00:00Z,1704067201.5\nj,,,\nk,Cy,0,0\n")
    items = read_items(path)
    assert items["creators"].tolist() == [("Ann", "Bob"), (), ("Cy",)]
    assert items["available_from"].tolist() == [1704067200.0, 0.0, 0.0]
    assert items["available_until"].tolist() == [1704067201.5, math.inf, math.inf]


def test_items_in_parquet_may_have_lists_moments_and_nulls(tmp_path: Path) -> None:
    moments = pd.to_datetime(pd.Series(["2024-01-01T00:00:00Z", None]))
    frame = pd.DataFrame({"item_id": ["i", "j"], "creators": [["Ann", "Bob"], None]})
    frame = frame.assign(available_from=moments, available_until=[1704067201.5, np.nan])
    frame.to_parquet(tmp_path / "items.parquet")
    items = read_items(tmp_path / "items.parquet")
    assert items["creators"].tolist() == [("Ann", "Bob"), ()]
    assert items["available_from"].tolist() == [1704067200.0, 0.0]
    assert items["available_until"].tolist() == [1704067201.5, math.inf]


@pytest.mark.parametrize(
    ("rows", "line", "reason"),
    [
        ("i,,,\nj,,soon,\n", 3, "available_from: 'soon' is neither Unix seconds nor ISO 8601"),
        ("i,,,1700000000000\n", 2, "available_until: '1700000000000' is not a time in"),
        ("i,,-1,\n", 2, "available_from: '-1' is not a time in"),
        ("i,,5,6\nj,,7,6\n", 3, "available_until: is not later than available_from"),
        ("i,,5,5\n", 2, "available_until: is not later than available_from"),
    ],
)
def test_an_item_with_a_broken_time_is_refused_with_its_line(
    tmp_path: Path, rows: str, line: int, reason: str
) -> None:
    (tmp_path / "items.csv").write_text(ITEMS + rows)
    with pytest.raises(DataError, match=rf"items\.csv:{line}: {reason}"):
        read_items(tmp_path / "items.csv")


def test_a_folder_without_a_log_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"events\.csv"):
        read(tmp_path)
    with pytest.raises(DataError, match="no such directory"):
        read(tmp_path / "nowhere")
