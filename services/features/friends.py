"""The latest events of a user's friends, in one statement over the event log."""

import math
from collections.abc import Sequence
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from models.events import NEGATIVE
from models.friends import EVENTS_A_FRIEND, MOST_FRIENDS

_NEGATIVE = ", ".join(str(kind.value) for kind in sorted(NEGATIVE))


def friends_events(
    db: Connection, friends: Sequence[str], as_of: float | None = None
) -> tuple[list[str], NDArray[np.float64]]:
    """What friends lately did, except for what they disliked.

    Args:
        friends: user ids, of which the first `MOST_FRIENDS` count.
        as_of: leave out events later than this, in Unix seconds.

    Returns:
        Item ids of the latest `EVENTS_A_FRIEND` events of each friend, and their (e,) times in Unix
        seconds.
    """
    asked = list(dict.fromkeys(friends))[:MOST_FRIENDS]
    if not asked:
        return [], np.empty(0)
    bound = math.inf if as_of is None else as_of
    # Written out for the driver: SQLAlchemy needs longer to put fifty SELECTs together than the
    # database to run them.
    if db.dialect.name == "postgresql":
        rows = db.exec_driver_sql(_LATERAL, (asked, bound)).all()
    else:
        parameters = tuple(chain.from_iterable((friend, bound) for friend in asked))
        rows = db.exec_driver_sql(_union(len(asked)), parameters).all()
    times = np.array([row[1] for row in rows], dtype=np.float64)
    return [row[0] for row in rows], times


def _latest(user: str, bound: str) -> str:
    """Reads a friend's events from the end of that friend's part of the index."""
    return (
        f"SELECT item_id, timestamp FROM events WHERE user_id = {user} AND timestamp <= {bound} "
        f"AND kind NOT IN ({_NEGATIVE}) ORDER BY timestamp DESC, seq DESC LIMIT {EVENTS_A_FRIEND}"
    )


# PostgreSQL needs 10 ms to plan the union of fifty; SQLite has no LATERAL.
_LATERAL = (
    "SELECT latest.item_id, latest.timestamp FROM unnest(%s::text[]) AS friend(id) "
    f"CROSS JOIN LATERAL ({_latest('friend.id', '%s')}) AS latest"
)


@cache
def _union(friends: int) -> str:
    return " UNION ALL ".join([f"SELECT * FROM ({_latest('?', '?')})"] * friends)
