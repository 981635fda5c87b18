"""Is "because you watched ..." true, and what does it cost?

    python -m bench.attribution --data DIR [--pairs N] [--json]

Learns from a log, and for users of it and their ten best unseen items removes from the history the
item that is named as the cause, or else another one of it at random, scoring the item anew each
time with the plain score. Users are as of their last event, without what goes on around them, which
no removal changes. Milliseconds are of one thread and of users of long histories.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from bench.options import data_option
from bench.temporary import temporary_state
from models.attribution import attribute
from models.evidence import taste_of
from models.final_score import FinalScorer, release_scorer
from models.history import HISTORY_LENGTH, UserHistory
from training.data import DataError
from training.job import train_from_log
from training.readers import read
from training.sequences import EventSequences, event_sequences

SLATE = 10
_CANDIDATES = 500
_REPEATS = 300
_LONG = 90  # of a hundred events


@dataclass(frozen=True)
class Removal:
    """One item of a slate, without one item or the other.

    Attributes:
        named: whether a cause was named.
        fall: how far the score falls without the cause; 0 when none was named.
        other: how far it falls without a random other item of the history.
    """

    named: bool
    fall: float
    other: float


@dataclass(frozen=True)
class Summary:
    """What removals showed.

    Attributes:
        pairs: of a user and an item.
        named: share for which a cause was named.
        lower: share for which a cause was named, and without it the score falls more than without
            the random other one.
        fall, other: mean falls without the cause where one was named, and without the other.
    """

    pairs: int
    named: float
    lower: float
    fall: float
    other: float


@dataclass(frozen=True)
class Millis:
    """Wall and CPU milliseconds of a call."""

    p50: float
    p99: float
    cpu_p50: float


def removals(scorer: FinalScorer, user: UserHistory, rng: np.random.Generator) -> Iterator[Removal]:
    """Removals for the best items that a user has not seen; none for a history of one item."""
    rows = slate(scorer, user, SLATE)
    known = np.unique(taste_of(user)[:HISTORY_LENGTH])
    if len(known) < 2:
        return
    whole, found = scorer.score(user, rows), attribute(scorer, user, rows)
    for at, cause in enumerate(found.causes[:, 0].tolist()):

        def fall(row: int, at: int = at) -> float:
            return float(whole[at] - scorer.score(user.without(row), rows[at : at + 1])[0])

        other = int(rng.choice(known[known != cause]))
        yield Removal(cause >= 0, fall(cause) if cause >= 0 else 0.0, fall(other))


def slate(scorer: FinalScorer, user: UserHistory, count: int) -> NDArray[np.int32]:
    """Rows of the best items that a user has not seen, best first."""
    unseen = np.arange(len(scorer.towers.item_vectors), dtype=np.int32)
    unseen = np.setdiff1d(unseen, user.rows)
    return unseen[np.argsort(-scorer.score(user, unseen), kind="stable")[:count]]


def summary(found: list[Removal]) -> Summary:
    """Shares and means."""
    named = np.array([each.named for each in found])
    fall, other = (np.array([getattr(each, name) for each in found]) for name in ("fall", "other"))
    return Summary(
        pairs=len(found),
        named=round(float(named.mean()), 4),
        lower=round(float((named & (fall > other)).mean()), 4),
        fall=round(float(fall[named].mean()), 4),
        other=round(float(other.mean()), 4),
    )


def user_at_end(log: EventSequences, user: int) -> UserHistory:
    """A user as of the last event, with the last hundred events, as the orchestrator asks."""
    begin, end = int(log.offsets[user]), int(log.offsets[user + 1])
    own = slice(max(begin, end - HISTORY_LENGTH), end)
    now = float(log.times[end - 1])
    return UserHistory(
        rows=log.rows[own],
        kinds=log.kinds[own],
        ages=(now - log.times[own]).astype(np.float32),
        values=log.values[own],
        time=now,
        region=log.region_names[log.regions[end - 1]],
    )


def _trained(data_path: Path) -> tuple[FinalScorer, EventSequences]:
    """The scorer of a release as it is served, and the log in rows of its items."""
    data = read(data_path)
    with temporary_state("tandem-attribution-") as state:
        release = train_from_log(
            data,
            database_url=state.database_url,
            release_root=state.releases,
            activate_at_start=True,
        )
        if release.items.ids.tolist() != data.items["item_id"].tolist():
            raise DataError("items", "the release holds others than the log")
        return release_scorer(release), event_sequences(data)


def _timed(calls: list[Callable[[], object]]) -> Millis:
    wall, cpu = [], []
    for call in calls:
        began, began_cpu = time.perf_counter(), time.thread_time()
        call()
        cpu.append(1e3 * (time.thread_time() - began_cpu))
        wall.append(1e3 * (time.perf_counter() - began))
    p50, p99 = np.percentile(wall, [50, 99])
    return Millis(round(p50, 2), round(p99, 2), round(float(np.percentile(cpu, 50)), 2))


def _millis(scorer: FinalScorer, users: list[UserHistory]) -> dict[str, Millis]:
    rows = [slate(scorer, user, _CANDIDATES) for user in users]
    turns = [(users[turn % len(users)], rows[turn % len(users)]) for turn in range(_REPEATS)]
    return {
        "attribute 10": _timed([partial(attribute, scorer, u, r[:10]) for u, r in turns]),
        "attribute 50": _timed([partial(attribute, scorer, u, r[:50]) for u, r in turns]),
        "score 500": _timed([partial(scorer.score, u, r) for u, r in turns]),
    }


@click.command()
@data_option
@click.option("--pairs", type=click.IntRange(min=1), default=1_000, help="Users and items.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def main(data: Path, pairs: int, as_json: bool) -> None:
    """Trains on the log DIR, removes causes and others, and times attribution."""
    scorer, log = _trained(data)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    found: list[Removal] = []
    long: list[UserHistory] = []
    active = np.flatnonzero(np.diff(log.offsets))
    for user in rng.permutation(active).tolist():
        history = user_at_end(log, user)
        if len(found) < pairs:
            found += removals(scorer, history, rng)
        if len(long) < 20 and len(taste_of(history)) >= _LONG:
            long.append(history)
    if not found:
        raise click.ClickException("no user has a history of two items")
    shown, millis = summary(found[:pairs]), _millis(scorer, long) if long else {}
    if as_json:
        print(json.dumps(asdict(shown) | {"millis": {k: asdict(v) for k, v in millis.items()}}))
        return
    print(f"{shown.pairs} pairs of a user and an item; {shown.named:.1%} have a cause")
    print(f"without it the score falls more than without a random other: {shown.lower:.1%}")
    print(f"mean fall {shown.fall:.3f}, without the other {shown.other:.3f}")
    for name, each in millis.items():
        print(
            f"{name:14} p50 {each.p50:7.2f} ms  p99 {each.p99:7.2f} ms  CPU {each.cpu_p50:.2f} ms"
        )


if __name__ == "__main__":
    main()
