"""Known methods that a model must beat, each with the settings that validation chooses from."""

from collections.abc import Mapping, Sequence

from models.bpr import BprConfig
from models.trending import HALF_LIVES_DAYS
from training.baselines.factors import ImplicitFactors, PairwiseRanking
from training.baselines.linear import LinearAutoencoder
from training.baselines.method import Baseline, Fitted
from training.baselines.neighbours import ItemKnn, UserKnn
from training.baselines.popularity import Popularity, RecentPopularity
from training.baselines.sequences import LastItem, TransitionFactors, Transitions
from training.baselines.trending import Trending

__all__ = [
    "GRIDS",
    "Baseline",
    "Fitted",
    "ImplicitFactors",
    "ItemKnn",
    "LastItem",
    "LinearAutoencoder",
    "PairwiseRanking",
    "Popularity",
    "RecentPopularity",
    "TransitionFactors",
    "Transitions",
    "Trending",
    "UserKnn",
]

_HALF_LIVES = (2.0, 4.0, 10.0)

GRIDS: Mapping[str, Sequence[Baseline]] = {
    "popularity": [Popularity()],
    "recent_popularity": [RecentPopularity(days) for days in (7, 30, 365)],
    "trending": [Trending(days) for days in HALF_LIVES_DAYS],
    "item_knn": [ItemKnn(k, shrink) for k in (50, 100, 300) for shrink in (0.0, 20.0)],
    "item_knn_recent": [ItemKnn(100, half_life=half_life) for half_life in _HALF_LIVES],
    "user_knn": [UserKnn(k, shrink) for k in (50, 100, 300) for shrink in (0.0, 20.0)],
    "last_item": [LastItem(shrink) for shrink in (0.0, 5.0, 20.0)],
    "ease": [LinearAutoencoder(weight) for weight in (20.0, 50.0, 100.0, 200.0, 500.0)],
    "ease_recent": [LinearAutoencoder(w, h) for w in (50.0, 200.0) for h in _HALF_LIVES],
    "ials": [ImplicitFactors(d, regularization=w) for d in (32, 64) for w in (0.003, 0.01)],
    "ials_recent": [ImplicitFactors(d, half_life=h) for d in (32, 64) for h in _HALF_LIVES],
    "bpr": [
        PairwiseRanking(BprConfig(dimensions, epochs))
        for dimensions, epochs in ((32, 30), (32, 100), (64, 100))
    ],
    "transitions": [Transitions(query_decay=decay) for decay in (0.4, 0.6, 0.8)],
    "transitions_svd": [TransitionFactors(dimensions) for dimensions in (64, 128, 256)],
}
"""Settings by the name of the method in reports."""
