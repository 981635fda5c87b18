"""Who is friends with whom, as rows of a log's user table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.friends import MOST_FRIENDS


@dataclass(frozen=True)
class Friends:
    """Friends of n users.

    Attributes:
        offsets: (n + 1,) int64; user u's friends are users[offsets[u] : offsets[u + 1]].
        users: (f,) int32.
    """

    offsets: NDArray[np.int64]
    users: NDArray[np.int32]

    @classmethod
    def of(cls, users: pd.DataFrame) -> "Friends":
        """From a table with `user_id` and `friends`. Unknown friends are left out; of many, the
        first `MOST_FRIENDS` count, as live."""
        row_of = {user_id: row for row, user_id in enumerate(users["user_id"])}
        lists = [
            [
                row_of[friend]
                for friend in list(dict.fromkeys(friends))[:MOST_FRIENDS]
                if friend in row_of
            ]
            for friends in users["friends"]
        ]
        lengths = np.array([len(each) for each in lists], dtype=np.int64)
        together = [friend for each in lists for friend in each]
        return cls(np.concatenate([[0], np.cumsum(lengths)]), np.array(together, dtype=np.int32))

    @classmethod
    def none(cls, n_users: int) -> "Friends":
        """Users without friends."""
        return cls(np.zeros(n_users + 1, np.int64), np.empty(0, np.int32))

    def __call__(self, user: int) -> NDArray[np.int32]:
        """(f,) rows of one user's friends."""
        return self.users[self.offsets[user] : self.offsets[user + 1]]
