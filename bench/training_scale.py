"""Seconds and memory of the way from a file to training, on a generated log of any size.

    python -m bench.training_scale 1000000 [--read-only] [--json]

Peaks are of the whole process up to the end of a stage; a log is written first. Wall seconds
depend on what else the machine does; CPU seconds much less.
"""

import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from services.common.database import open_database
from services.features.event_log import EventLog
from training.data import assemble
from training.readers import read
from training.sequences import event_sequences

# As in ml-32m: ratings of a user, and most items.
_RATINGS_A_USER = 160
_FEWEST = 20
_MOST_ITEMS = 87_000
_RATINGS_AN_ITEM = 40
_FIRST_TIME, _LAST_TIME = 789_652_009, 1_697_000_000
_SPAN = 20_000  # seconds in which a user gives all ratings; many share a second
_USERS_A_BLOCK = 2_000

T = TypeVar("T")


@dataclass(frozen=True)
class Stage:
    """What a stage cost.

    Attributes:
        name: the stage.
        seconds: wall time.
        cpu_seconds: CPU time of this process.
        peak_mb: most memory that the process had held by its end, in MiB, libraries included.
    """

    name: str
    seconds: float
    cpu_seconds: float
    peak_mb: float


def write_movielens(folder: Path, n_ratings: int, seed: int = 0) -> int:
    """Writes `ratings.csv` and `movies.csv` in MovieLens' form, block by block.

    Users are in order, as in the original; popularity of items is skewed, and so is the number of
    ratings a user; no user rates an item twice, so somewhat fewer than `n_ratings` come out.

    Returns:
        Ratings written.
    """
    rng = np.random.default_rng(seed)
    n_users = max(n_ratings // _RATINGS_A_USER, 1)
    n_items = min(_MOST_ITEMS, max(n_ratings // _RATINGS_AN_ITEM, 1))
    activity = np.maximum(rng.lognormal(4.2, 1.2, n_users), _FEWEST)
    counts = (activity * (n_ratings / activity.sum())).astype(np.int64)
    types = {"userId": "int64", "movieId": "int64", "rating": "float64", "timestamp": "int64"}
    schema = pa.schema(list(types.items()))
    written = 0
    with pa_csv.CSVWriter(
        folder / "ratings.csv", schema, write_options=pa_csv.WriteOptions(quoting_style="none")
    ) as file:
        for first in range(0, n_users, _USERS_A_BLOCK):
            block = counts[first : first + _USERS_A_BLOCK]
            users = np.repeat(np.arange(first, first + len(block)), block)
            items = (n_items * rng.random(len(users)) ** 3).astype(np.int64)
            pairs = np.unique(users * n_items + items)
            users, items = pairs // n_items, pairs % n_items
            joined = rng.integers(_FIRST_TIME, _LAST_TIME, len(block))
            times = joined[users - first] + rng.integers(0, _SPAN, len(users))
            stars = rng.integers(1, 11, len(users)) / 2
            file.write_table(pa.table([users + 1, items + 1, stars, times], schema=schema))
            written += len(users)
    with (folder / "movies.csv").open("w") as file:
        file.write("movieId,title,genres\n")
        file.writelines(
            f"{n},Film {n} ({1950 + n % 70}),Drama|Comedy\n" for n in range(1, n_items + 1)
        )
    return written


def measure(folder: Path, *, read_only: bool) -> Iterator[Stage]:
    """Measures each stage on a log, and gives it when it is done; the peak never falls."""
    stage, data = _timed("read", lambda: read(folder))
    yield stage
    if not read_only:
        engine = open_database(f"sqlite:///{folder / 'events.db'}")
        log = EventLog(engine)
        yield _timed("import", lambda: log.import_frame(data.events))[0]
        yield _timed("import again", lambda: log.import_frame(data.events))[0]
        stage, frame = _timed("read back", log.read_frame)
        yield stage
        engine.dispose()
        stage, data = _timed("assemble", lambda: assemble(frame, data.items, data.users))
        yield stage
    yield _timed("event_sequences", lambda: event_sequences(data))[0]


def _timed(name: str, work: Callable[[], T]) -> tuple[Stage, T]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    stage = Stage(
        name,
        seconds=round(time.perf_counter() - wall, 2),
        cpu_seconds=round(time.process_time() - cpu, 2),
        peak_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    )
    return stage, result


@click.command()
@click.argument("ratings", type=click.IntRange(min=1))
@click.option("--read-only", is_flag=True, help="Leave the event log out.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def main(ratings: int, read_only: bool, as_json: bool) -> None:
    """Generates a log of about RATINGS ratings in a temporary folder, and measures it."""
    with tempfile.TemporaryDirectory(prefix="tandem-scale-") as name:
        folder = Path(name)
        written = write_movielens(folder, ratings)
        stages = []
        for stage in measure(folder, read_only=read_only):
            stages.append(stage)
            if not as_json:
                print(_line(stage), flush=True)
    if as_json:
        print(json.dumps({"ratings": written, "stages": [asdict(stage) for stage in stages]}))
    else:
        print(f"{written} ratings")


def _line(stage: Stage) -> str:
    return (
        f"{stage.name:16} {stage.seconds:8.2f} s {stage.cpu_seconds:8.2f} s CPU "
        f"{stage.peak_mb:9.1f} MiB"
    )


if __name__ == "__main__":
    main()
