"""Known methods that a model must beat, each with the settings that validation chooses from."""

from collections.abc import Mapping, Sequence

from models.bpr import BprConfig
from training.baselines.factors import ImplicitFactors, PairwiseRanking
from training.baselines.linear import LinearAutoencoder
from training.baselines.method import Baseline, Fitted
from training.baselines.neighbours import ItemKnn, UserKnn
from training.baselines.popularity import Popularity, RecentPopularity
from training.baselines.sequences import LastItem, TransitionFactors, Transitions

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
    "UserKnn",
]

_HALF_LIVES = (2.0, 4.0, 10.0)

GRIDS: Mapping[str, Sequence[Baseline]] = {
    "popularity": [Popularity()],
    "recent_popularity": [RecentPopularity(days) for days in (7, 30, 365)],
    "item_knn": [ItemKnn(k, shrink) for k in (50, 100, 300) for shrink in (0.0, 20.0)],
    "item_knn_recent": [ItemKnn(300, 20.0, half_life) for half_life in _HALF_LIVES],
    "user_knn": [UserKnn(k, shrink) for k in (50, 100, 200, 400) for shrink in (0.0, 20.0)],
    "last_item": [LastItem(shrink) for shrink in (0.0, 5.0, 20.0)],
    "ease": [LinearAutoencoder(weight) for weight in (50.0, 100.0, 200.0, 400.0, 800.0)],
    "ease_recent": [LinearAutoencoder(200.0, half_life) for half_life in _HALF_LIVES],
    "ials": [ImplicitFactors(d) for d in (32, 64)],
    "ials_recent": [ImplicitFactors(32, half_life=half_life) for half_life in _HALF_LIVES],
    "bpr": [PairwiseRanking(BprConfig(epochs=epochs)) for epochs in (10, 20, 40)],
    "transitions": [Transitions(query_decay=decay) for decay in (0.4, 0.6, 0.8)],
    "transitions_svd": [TransitionFactors(d) for d in (64, 128, 256)],
}
"""Settings by the name of the method in reports."""
