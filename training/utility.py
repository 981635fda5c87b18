"""Composite utility: how much a user got out of an item, on one scale from 0 to 15."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from models.events import NEGATIVE, EventKind
from models.head import MAX_UTILITY
from training.sequences import EventSequences


@dataclass(frozen=True)
class UtilityWeights:
    """What an event of each kind adds to the utility of its user and item.

    `rating` and `watch` multiply the event's value (stars, hours); the others are added once an
    event. Views and clicks are weak evidence, often of nothing but a glance. A save promises later
    use, and forwarding is sharing with one person.
    """

    rating: float = 1.0
    watch: float = 1.0
    like: float = 2.0
    share: float = 5.0
    comment: float = 2.0
    forward: float = 3.0
    save: float = 2.0
    click: float = 0.5
    view: float = 0.25

    def of_events(
        self, kinds: NDArray[np.int8], values: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(e,) contribution of each event."""
        table = np.zeros(max(EventKind) + 1, dtype=np.float32)
        for kind in set(EventKind) - NEGATIVE:
            table[kind] = getattr(self, kind.name.lower())
        scaled = np.isin(kinds, [int(EventKind.RATING), int(EventKind.WATCH)])
        return table[kinds] * np.where(scaled, values, np.float32(1))


def composite_utility(
    log: EventSequences, n_items: int, weights: UtilityWeights | None = None
) -> csr_array:
    """Sums the contributions of each user's events on each item, clipped to 0-15.

    Only the latest rating of a pair counts; a changed mind is not twice the utility. A dislike or
    hide leaves a pair without utility, whatever else happened.

    Returns:
        (users, n_items) float32. A pair whose utility is zero or less is not stored.
    """
    users = log.users
    contribution = (weights or UtilityWeights()).of_events(log.kinds, log.values)
    kept = ~_replaced_ratings(log, users, n_items)
    pairs = coo_array(
        (contribution[kept], (users[kept], log.rows[kept])), shape=(log.n_users, n_items)
    )
    utility = pairs.tocsr()
    utility.sum_duplicates()
    np.clip(utility.data, 0.0, MAX_UTILITY, out=utility.data)
    utility.eliminate_zeros()
    return _without_refused(utility, log, users)


def _without_refused(
    utility: csr_array, log: EventSequences, users: NDArray[np.int64]
) -> csr_array:
    negative = np.isin(log.kinds, [int(kind) for kind in NEGATIVE])
    pairs = (users[negative], log.rows[negative])
    refused = coo_array((np.ones(len(pairs[0]), dtype=np.float32), pairs), shape=utility.shape)
    kept = csr_array(utility - utility.multiply(refused.tocsr() > 0))
    kept.eliminate_zeros()
    return kept


def _replaced_ratings(
    log: EventSequences, users: NDArray[np.int64], n_items: int
) -> NDArray[np.bool_]:
    replaced = np.zeros(len(log), dtype=np.bool_)
    ratings = np.flatnonzero(log.kinds == EventKind.RATING)[::-1]  # newest first
    _pairs, newest = np.unique(users[ratings] * n_items + log.rows[ratings], return_index=True)
    replaced[ratings] = True
    replaced[ratings[newest]] = False
    return replaced
