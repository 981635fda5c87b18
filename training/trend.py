"""Chooses between plain and recent popularity by what predicts held-out events better."""

import numpy as np
from numpy.typing import NDArray

from models.popularity import SECONDS_A_DAY, popularity
from training.ranks import rank_targets
from training.sequences import EventSequences
from training.splits import Queries, before, last_new_events

HALF_LIVES_DAYS = (np.inf, 365.0, 90.0, 30.0, 7.0)
_USERS = 2_000


def popularity_at(
    log: EventSequences, queries: Queries, n_items: int, half_life_days: float
) -> NDArray[np.float32]:
    """(q, n_items) popularity at the time of each query, from events of `log` before it.

    One sweep over time: what is known decays from query to query, and each event comes in once.
    """
    taste = log.taste()
    order = np.argsort(taste.times, kind="stable")
    rows, times = taste.rows[order], taste.times[order]
    known = np.searchsorted(times, queries.times, side="left")
    scores = np.zeros((len(queries), n_items), dtype=np.float32)
    counts, done, then = np.zeros(n_items), 0, 0.0
    for query in np.argsort(queries.times, kind="stable"):
        now, new = float(queries.times[query]), slice(done, known[query])
        counts *= np.exp2(-(now - then) / SECONDS_A_DAY / half_life_days)
        counts += popularity(rows[new], times[new], n_items, now=now, half_life_days=half_life_days)
        scores[query], done, then = counts, new.stop, now
    return scores


def choose_half_life(log: EventSequences, n_items: int) -> float:
    """The half-life of popularity, in days, that ranks each user's last event best."""
    queries = last_new_events(log, _USERS)
    known = before(queries)
    if not len(queries):
        return np.inf

    def quality(days: float) -> float:
        found = rank_targets(lambda q: popularity_at(known, q, n_items, days), queries, n_items)
        return found.metrics().ndcg

    return max(HALF_LIVES_DAYS, key=quality)
