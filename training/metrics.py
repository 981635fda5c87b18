"""Ranking metrics for one held-out item a user, on the full catalogue."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOP = 10


def rank_of_target(
    scores: NDArray[np.float32], targets: NDArray[np.int64], seen: list[NDArray[np.int32]]
) -> NDArray[np.int64]:
    """Rank of each user's target among the items the user has not seen; 0 is best.

    Of items with equal scores half count as better, so that a constant scorer gains nothing.

    Args:
        scores: (b, n) scores; changed in place (seen items sink).
        targets: (b,) item rows.
        seen: b arrays of item rows; a target among them stays a candidate.

    Returns:
        (b,) ranks.
    """
    users = np.arange(len(targets))
    target_scores = scores[users, targets].copy()
    for user, rows in enumerate(seen):
        scores[user, rows] = -np.inf
    scores[users, targets] = -np.inf
    better = (scores > target_scores[:, None]).sum(axis=1)
    equal = (scores == target_scores[:, None]).sum(axis=1)
    ranks: NDArray[np.int64] = (better + equal // 2).astype(np.int64)
    return ranks


@dataclass(frozen=True)
class RankingMetrics:
    """Means over users.

    Attributes:
        hr: hit rate at 10: share of targets ranked among the first ten.
        ndcg: normalized discounted cumulative gain at 10, 1 / log2(rank + 2) within the first ten.
        recall_100, recall_500: share of targets among the first 100 and 500.
        coverage: share of the catalogue that occurs in anyone's first ten.
    """

    hr: float
    ndcg: float
    recall_100: float
    recall_500: float
    coverage: float

    @classmethod
    def of(cls, ranks: NDArray[np.int64], shown: set[int], n_items: int) -> "RankingMetrics":
        """From ranks of targets (0 is best), and the rows shown in first tens."""
        if not len(ranks):
            return cls(0.0, 0.0, 0.0, 0.0, 0.0)
        gains = np.where(ranks < TOP, 1 / np.log2(ranks + 2), 0.0)
        return cls(
            hr=float((ranks < TOP).mean()),
            ndcg=float(gains.mean()),
            recall_100=float((ranks < 100).mean()),
            recall_500=float((ranks < 500).mean()),
            coverage=len(shown) / n_items,
        )

    def named(self) -> dict[str, float]:
        """By the names of reports."""
        return {
            "hr@10": self.hr,
            "ndcg@10": self.ndcg,
            "recall@100": self.recall_100,
            "recall@500": self.recall_500,
            "coverage@10": self.coverage,
        }
