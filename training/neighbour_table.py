"""Every way to compare items and users, as recommenders: `python -m training.neighbour_table`.

Each combination of metric, rule for missing values and shrinkage learns from all but the last event
of every user, and ranks the catalogue for that event by the sum of similarities to
the history, or of what near users got out of it; see `docs/neighbours.md` for what came out.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.neighbours import (
    METRICS,
    MISSING,
    Neighbours,
    item_neighbours,
    item_scores,
    user_neighbours,
    user_scores,
)
from training.protocols import leave_last_out
from training.ranks import ScoreBlock, rank_targets
from training.readers import read
from training.sequences import EventSequences, event_sequences
from training.splits import Queries
from training.utility import composite_utility

SIDES = ("item", "user")
SHRINKS = (0.0, 20.0)
NAMES = {"hr": "hr@10", "ndcg": "ndcg@10", "recall_100": "recall@100", "coverage": "coverage@10"}


@dataclass(frozen=True)
class Row:
    """One combination and what it reaches.

    Attributes:
        side: "item" compares items, "user" users.
        hr, ndcg, recall_100, coverage: see `training.metrics.RankingMetrics`.
        seconds: of processor time, to find the neighbours.
    """

    side: str
    metric: str
    missing: str
    shrink: float
    hr: float
    ndcg: float
    recall_100: float
    coverage: float
    seconds: float

    def named(self) -> dict[str, str | float]:
        """By the names of reports."""
        return {NAMES.get(name, name): value for name, value in asdict(self).items()}


def compare(log: EventSequences, n_items: int, m: int) -> Iterator[Row]:
    """All combinations under leave-last-out, one after the other.

    Jaccard asks only who rated, and a dot product over common raters is that with zeros: what is
    the same by definition is measured once, under the rule "zero".

    Args:
        log: all events.
        n_items: size of the catalogue.
        m: neighbours kept.
    """
    fold = leave_last_out(log).test
    utility = composite_utility(fold.train, n_items)
    for side in SIDES:
        for metric in METRICS:
            for missing in MISSING:
                if same_as_zero(metric, missing):
                    continue
                for shrink in SHRINKS:
                    yield _measure(utility, fold.queries, side, metric, missing, shrink, m)


def same_as_zero(metric: str, missing: str) -> bool:
    """Whether a rule gives the similarities of "zero" by definition."""
    if metric == "jaccard":
        return missing in ("ignore", "user_average", "item_average")
    return metric == "dot" and missing == "ignore"


def _measure(
    utility: csr_array,
    queries: Queries,
    side: str,
    metric: str,
    missing: str,
    shrink: float,
    m: int,
) -> Row:
    started = time.process_time()
    find = item_neighbours if side == "item" else user_neighbours
    found = find(utility, metric=metric, missing=missing, shrink=shrink, m=m)
    seconds = time.process_time() - started
    had = utility.copy()
    had.data = np.ones_like(had.data)  # every event is a positive, whatever its value

    def by_items(block: Queries) -> NDArray[np.float32]:
        return item_scores(csr_array(had[block.users]), found)

    def by_users(block: Queries) -> NDArray[np.float32]:
        own = Neighbours(found.rows[block.users], found.scores[block.users])
        return user_scores(own, utility)

    score: ScoreBlock = by_items if side == "item" else by_users
    metrics = rank_targets(score, queries, utility.shape[1]).metrics()
    return Row(
        side,
        metric,
        missing,
        shrink,
        metrics.hr,
        metrics.ndcg,
        metrics.recall_100,
        metrics.coverage,
        seconds,
    )


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="A log's folder.")
@click.option("--neighbours", type=click.IntRange(1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(data: Path, neighbours: int, as_json: bool) -> None:
    """Compares all ways to compare items and users."""
    interactions = read(data, ())
    rows = compare(event_sequences(interactions), len(interactions.items), neighbours)
    if as_json:
        print(json.dumps([row.named() for row in rows], indent=2))
        return
    names = [NAMES.get(field.name, field.name) for field in fields(Row)]
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(_text(value) for value in row.named().values()) + " |", flush=True)


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.4f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    main()
