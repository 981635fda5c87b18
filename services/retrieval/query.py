"""One request as the candidate sources see it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.features import taste_mask
from models.history import UserHistory
from services.retrieval.loaded import LoadedRelease
from services.retrieval.vectors import Found


@dataclass(frozen=True)
class Query:
    """What every source is given.

    Attributes:
        loaded: the release that all must use.
        user: the user now.
        count: candidates wanted from each source.
        excluded: (n,) bool, items that no source may return.
        excluded_count: how many of them there are.
        seconds: time a source has.
    """

    loaded: LoadedRelease
    user: UserHistory
    count: int
    excluded: NDArray[np.bool_]
    excluded_count: int
    seconds: float

    def liked_rows(self, most: int) -> NDArray[np.int32]:
        """(h,) rows of the last events that count as taste, newest first."""
        return self.user.rows[taste_mask(self.user.rows, self.user.kinds)][::-1][:most]

    def allowed(self, found: Found) -> Found:
        """The first `count` items that may be returned."""
        keep = np.flatnonzero(~self.excluded[found.rows])[: self.count]
        return Found(found.rows[keep], found.scores[keep])
