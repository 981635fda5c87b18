"""The latest events of a user's friends, in one statement over the event log."""

import math
from collections.abc import Sequence
from functools import cache
from itertools import chain

import numpy as np
from sqlalchemy import Connection

from models.events import NEGATIVE
from models.friends import EVENTS_A_FRIEND, MOST_FRIENDS, FriendsEvents

_NEGATIVE = ", ".join(str(kind.value) for kind in sorted(NEGATIVE))


def friends_events(
    db: Connection, friends: Sequence[str], as_of: float | None = None
) -> FriendsEvents[str]:
    """What friends lately did, except for what they disliked.

    Args:
        friends: user ids, of which the first `MOST_FRIENDS` count.
        as_of: leave out events later than this, in Unix seconds.
    """
    asked = list(dict.fromkeys(friends))[:MOST_FRIENDS]
    if not asked:
        return FriendsEvents(np.empty(0, np.int64), [], np.empty(0))
    bound = math.inf if as_of is None else as_of
    # Written out for the driver: SQLAlchemy needs longer to put fifty SELECTs together than the
    # database to run them.
    if db.dialect.name == "postgresql":
        rows = db.exec_driver_sql(_LATERAL, (asked, bound)).all()
    else:
        parameters = tuple(chain.from_iterable((friend, bound) for friend in asked))
        rows = db.exec_driver_sql(_union(len(asked)), parameters).all()
    rows = sorted(rows, key=lambda row: (row[0], -row[2], -row[3]))
    return FriendsEvents(
        friends=np.array([row[0] for row in rows], dtype=np.int64),
        items=[row[1] for row in rows],
        times=np.array([row[2] for row in rows], dtype=np.float64),
    )


def _latest(user: str, bound: str) -> str:
    """Reads a friend's events from the end of that friend's part of the index."""
    return (
        "SELECT item_id, timestamp, seq FROM events "
        f"WHERE user_id = {user} AND timestamp <= {bound} AND kind NOT IN ({_NEGATIVE}) "
        f"ORDER BY timestamp DESC, seq DESC LIMIT {EVENTS_A_FRIEND}"
    )


# PostgreSQL needs 10 ms to plan the union of fifty; SQLite has no LATERAL.
_LATERAL = (
    "SELECT friend.number, latest.item_id, latest.timestamp, latest.seq "
    "FROM unnest(%s::text[]) WITH ORDINALITY AS friend(id, number) "
    f"CROSS JOIN LATERAL ({_latest('friend.id', '%s')}) AS latest"
)


@cache
def _union(friends: int) -> str:
    one = f"SELECT {{number}}, latest.* FROM ({_latest('?', '?')}) AS latest"
    return " UNION ALL ".join(one.format(number=number) for number in range(friends))
