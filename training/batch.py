"""Batch recommendations: the best unseen items of every user, computed once a release.

Any method of the comparison can make them. Lists go from method to file to database in blocks of
users, so that no table of all users is ever held.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.final_score import FinalScorer
from models.release import STORED, Items, Release
from training.baselines import (
    Baseline,
    Fitted,
    ImplicitFactors,
    ItemKnn,
    LastItem,
    LinearAutoencoder,
    PairwiseRanking,
    Popularity,
    RecentPopularity,
    TransitionFactors,
    Transitions,
    Trending,
    UserKnn,
)
from training.baselines.popularity import popularity_of
from training.config import TANDEM, TWO_TOWER
from training.sequences import EventSequences
from training.splits import Queries
from training.tandem_models import FittedTandem, FittedTowers

BASELINES: Mapping[str, Baseline] = {
    "popularity": Popularity(),
    "recent_popularity": RecentPopularity(30),
    "trending": Trending(14.0),
    "item_knn": ItemKnn(shrink=20.0),
    "item_knn_recent": ItemKnn(half_life=4.0),
    "user_knn": UserKnn(shrink=20.0),
    "last_item": LastItem(shrink=5.0),
    "ease": LinearAutoencoder(),
    "ease_recent": LinearAutoencoder(half_life=4.0),
    "ials": ImplicitFactors(),
    "ials_recent": ImplicitFactors(half_life=4.0),
    "bpr": PairwiseRanking(),
    "transitions": Transitions(),
    "transitions_svd": TransitionFactors(),
}
"""The setting of each method of `training.baselines.GRIDS` that makes stored lists."""

_MOST_USERS = 256
_BLOCK_CELLS = 16_000_000  # of scores, 64 MB

_SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("rows", pa.list_(pa.int32())),
        ("scores", pa.list_(pa.float32())),
    ]
)

Scores = NDArray[np.float32]


def batch_recommendations(
    scorer: FinalScorer,
    log: EventSequences,
    items: Items,
    count: int,
    progress: Callable[[int, int], None],
    method: str = TANDEM,
) -> Iterator[pd.DataFrame]:
    """Ranks every user's unseen, available items, a block of users at a time.

    Users are asked about just after the newest event of the log. Among items of equal score, the
    one that more users had comes first, so those of whom a method knows nothing get the popular.

    Args:
        scorer: the final score; makes the lists of `tandem` and `two_tower`.
        log: all events; other methods learn from it.
        items: the catalogue.
        count: most items a user.
        progress: called with (users done, users in all).
        method: a name in `training.config.STORED_METHODS`.

    Yields:
        Columns `user` (row of the user), `rows` (int32 item rows, best first), `scores` (float32):
        predictions of the head for `tandem`, the method's own scores for any other.

    Raises:
        ValueError: a score is not a number.
    """
    fitted = _fitted(method, scorer, log, len(items))
    meaning = scorer.predict if method == TANDEM else _own
    popularity = popularity_of(log, len(items))
    now = float(np.nextafter(log.times.max(initial=0.0), np.inf))
    size = int(np.clip(_BLOCK_CELLS // max(len(items), log.n_users, 1), 1, _MOST_USERS))
    for start in range(0, log.n_users, size):
        users = np.arange(start, min(start + size, log.n_users))
        asked = Queries.after_all(log, users, now)
        scores = fitted.score(asked)
        if np.isnan(scores).any():
            raise ValueError(f"{method}: a score is not a number")
        scores[asked.known()] = -np.inf
        scores[:, ~items.available] = -np.inf
        best = [_best(row, popularity, count) for row in scores]
        found = [meaning(row[rows]) for row, rows in zip(scores, best, strict=True)]
        yield pd.DataFrame({"user": users, "rows": best, "scores": found})
        progress(int(users[-1]) + 1, log.n_users)


def write_lists(path: Path, blocks: Iterator[pd.DataFrame], user_ids: NDArray[np.object_]) -> None:
    """Writes blocks of lists as they come: `stored.parquet` of a release, one row group a block.

    Args:
        path: the file.
        blocks: from `batch_recommendations`.
        user_ids: (users,) ids by row of the user.
    """
    with pq.ParquetWriter(path, _SCHEMA) as file:
        for block in blocks:
            block = block.assign(user_id=user_ids[block["user"]])
            file.write_table(pa.Table.from_pandas(block, _SCHEMA, preserve_index=False))


def read_lists(release: Release) -> Iterator[tuple[str, list[str], list[float]]]:
    """Gives the stored lists of a release one by one: user id, item ids best first, scores."""
    item_ids = release.items.ids
    with pq.ParquetFile(release.path / STORED) as file:
        for block in file.iter_batches(batch_size=_MOST_USERS):
            columns = (block.column(name).to_pylist() for name in _SCHEMA.names)
            for user_id, rows, scores in zip(*columns, strict=True):
                yield user_id, item_ids[rows].tolist(), scores


def _fitted(method: str, scorer: FinalScorer, log: EventSequences, n_items: int) -> Fitted:
    if method == TANDEM:
        return FittedTandem(scorer, diversity=0.0)
    if method == TWO_TOWER:
        return FittedTowers(scorer.towers)
    return BASELINES[method].fit(log, n_items)


def _own(scores: Scores) -> Scores:
    return scores


def _best(scores: Scores, popularity: Scores, count: int) -> NDArray[np.int32]:
    """Rows of the best finite scores; ties by popularity, then by row."""
    width = min(count, len(scores))
    least = np.partition(scores, -width)[-width]
    found = np.flatnonzero((scores >= least) & (scores > -np.inf))
    order = np.lexsort((-popularity[found], -scores[found]))[:width]
    return found[order].astype(np.int32)
