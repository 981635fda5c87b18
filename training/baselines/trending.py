"""What is on the rise at the moment asked about, the same for everybody."""

from dataclasses import dataclass

from training.baselines.method import Matrix
from training.friends import Friends
from training.sequences import EventSequences
from training.splits import Queries
from training.surroundings import Around, trend_scores


@dataclass(frozen=True)
class Trending:
    """The live trend, everywhere. Unlike all other methods it goes on counting where events are
    recorded as time goes on.

    Attributes:
        half_life_days: one of `models.trending.HALF_LIVES_DAYS`.
    """

    half_life_days: float

    def fit(self, events: EventSequences, n_items: int) -> "_Trend":
        around = Around(Friends.none(events.n_users), self.half_life_days, events)
        return _Trend(around, n_items)


@dataclass(frozen=True)
class _Trend:
    around: Around
    n_items: int

    def score(self, queries: Queries) -> Matrix:
        return trend_scores(self.around.of(queries), self.n_items)
