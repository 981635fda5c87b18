"""Further files repeat, add and override; the rules hold in the event log as well."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.common.database import open_database
from services.features.event_log import EventLog
from training.data import DataError, InteractionData, assemble
from training.readers import read
from training.sequences import event_sequences
from training.utility import composite_utility

RATINGS = "userId,movieId,rating,timestamp\n"
EVENTS = "user_id,item_id,event,value,timestamp\n"
Reader = Callable[..., InteractionData]


@pytest.fixture(params=["files", "event log", "event log that knew the log before"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    """Reads a log with its further files, directly or by way of the event log, twice imported."""
    engine = open_database(f"sqlite:///{tmp_path / 'log.db'}")
    log = EventLog(engine)

    def through_log(main: str, *also: str) -> InteractionData:
        data = from_files(tmp_path, main, *also)
        if request.param == "files":
            return data
        if "before" in request.param:
            log.import_frame(from_files(tmp_path, main).events)
        for _ in range(2):
            log.import_frame(data.events)
        return assemble(log.read_frame(), data.items, data.users, data.skipped)

    yield through_log
    engine.dispose()


def from_files(folder: Path, main: str, *also: str) -> InteractionData:
    (folder / "ratings.csv").write_text(RATINGS + main)
    (folder / "movies.csv").write_text("movieId,title,genres\n1,One,Drama\n2,Two,Drama\n")
    paths = [folder / f"also{number}.csv" for number in range(len(also))]
    for path, text in zip(paths, also, strict=True):
        path.write_text(text)
    return read(folder, paths)


def utilities(data: InteractionData) -> dict[tuple[str, str], float]:
    found = composite_utility(event_sequences(data), len(data.items)).tocoo()
    users, items = data.users["user_id"], data.items["item_id"]
    return {
        (users[user], items[item]): float(value)
        for user, item, value in zip(*found.coords, found.data, strict=True)
    }


@pytest.mark.parametrize("time", [99, 100, 101])
@pytest.mark.parametrize("layout", ["movielens", "general"])
def test_a_supplemental_rating_overrides_whatever_its_time(
    reader: Reader, time: int, layout: str
) -> None:
    rating = RATINGS + f"u,1,2,{time}\n" if layout == "movielens" else ""
    data = reader("u,1,5,100\nu,2,4,100\n", rating or EVENTS + f"u,1,rating,2,{time}\n")
    assert utilities(data) == {("u", "1"): 2.0, ("u", "2"): 4.0}
    assert len(data.events) == 3


def test_the_file_given_last_wins(reader: Reader) -> None:
    data = reader("u,1,5,100\n", RATINGS + "u,1,2,50\n", RATINGS + "u,1,3,10\n")
    assert utilities(data) == {("u", "1"): 3.0}


def test_ratings_of_one_file_replace_one_another_by_time(reader: Reader) -> None:
    data = reader("u,1,5,100\n", RATINGS + "u,1,2,50\nu,1,3,10\n")
    assert utilities(data) == {("u", "1"): 2.0}


def test_it_overrides_the_newest_of_several_ratings(reader: Reader) -> None:
    data = reader("u,1,5,300\nu,1,4,100\n", RATINGS + "u,1,2,200\n")
    assert utilities(data) == {("u", "1"): 2.0}


def test_other_pairs_and_other_kinds_keep_their_times(reader: Reader) -> None:
    supplement = EVENTS + "u,1,rating,2,50\nu,1,like,,50\nu,2,rating,3,50\nv,1,rating,1,50\n"
    data = reader("u,1,5,100\n", supplement)
    assert utilities(data) == {("u", "1"): 4.0, ("u", "2"): 3.0, ("v", "1"): 1.0}
    assert data.events["timestamp"].tolist()[:4] == [50, 50, 50, 100]
    assert data.events["timestamp"].iloc[-1] == pytest.approx(100, abs=1e-6)
    assert data.events["timestamp"].is_monotonic_increasing


def test_a_rating_recorded_live_later_still_counts(tmp_path: Path) -> None:
    data = from_files(tmp_path, "u,1,5,100\n", RATINGS + "u,1,2,50\n")
    engine = open_database(f"sqlite:///{tmp_path / 'log.db'}")
    log = EventLog(engine)
    log.import_frame(data.events)
    log.import_frame(data.events.iloc[:1].assign(value=1.0, timestamp=101.0))
    everything = assemble(log.read_frame(), data.items, data.users)
    engine.dispose()
    assert utilities(everything) == {("u", "1"): 1.0}


def test_the_override_holds_when_the_rating_it_replaces_arrives_after_it(tmp_path: Path) -> None:
    supplement = RATINGS + "u,1,2,50\n"
    engine = open_database(f"sqlite:///{tmp_path / 'log.db'}")
    log = EventLog(engine)
    for main in ("u,2,4,100\n", "u,2,4,100\nu,1,5,50\n"):
        data = from_files(tmp_path, main, supplement)
        log.import_frame(data.events)
    everything = assemble(log.read_frame(), data.items, data.users)
    engine.dispose()
    assert utilities(everything) == {("u", "1"): 2.0, ("u", "2"): 4.0}


def test_rows_of_another_file_are_skipped_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    main = "u,1,5,100\nu,2,4,100\n"
    data = from_files(tmp_path, main, RATINGS + "v,1,3,7\n" + main, RATINGS + "v,1,3,7\n")
    assert len(data.events) == 3
    assert [(Path(row.file).name, row.line) for row in data.skipped] == [
        ("also0.csv", 3),
        ("also0.csv", 4),
        ("also1.csv", 2),
    ]
    assert "also0.csv:3: 2 repeated rows skipped" in caplog.text
    assert utilities(data) == {("u", "1"): 5.0, ("u", "2"): 4.0, ("v", "1"): 3.0}


def test_lines_are_those_of_the_file_when_it_also_repeats_itself(tmp_path: Path) -> None:
    view = "u,1,view,,1\n"
    data = from_files(tmp_path, "u,1,5,100\n", EVENTS + view * 2 + "u,1,rating,5,100\n")
    assert [row.line for row in data.skipped] == [3, 4]


def test_a_rating_given_twice_within_a_further_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"also0\.csv:3: rating: the rating repeats an earlier row"):
        from_files(tmp_path, "u,1,5,100\n", RATINGS + "u,1,2,3\n" * 2)
