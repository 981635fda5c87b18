"""What a ranking is worth: accuracy against held-out events, and the make-up of the lists."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOP = 10

_BLOCK = 4096


@dataclass(frozen=True)
class Accuracy:
    """What each question gets. A question is one moment of one user; it has one or more targets.

    Attributes:
        hr: (q,) float64 hit rate at 10: 1 when any target is among the first ten.
        ndcg: (q,) float64 normalized discounted cumulative gain at 10: 1 / log2(rank + 2) summed
            over targets among the first ten, divided by what min(targets, 10) can reach at best.
        recall_100, recall_500: (q,) float64 share of the targets among the first 100 and 500.
    """

    hr: NDArray[np.float64]
    ndcg: NDArray[np.float64]
    recall_100: NDArray[np.float64]
    recall_500: NDArray[np.float64]

    @classmethod
    def of(
        cls, ranks: NDArray[np.int64], questions: NDArray[np.int64], n_questions: int
    ) -> "Accuracy":
        """From the rank (0 is best) and the question of each target; all questions have one."""

        def summed(values: NDArray[np.generic]) -> NDArray[np.float64]:
            weights = values.astype(np.float64)
            return np.bincount(questions, weights, n_questions).astype(np.float64)

        targets = np.bincount(questions, minlength=n_questions)
        ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(TOP) + 2))])
        gains = np.where(ranks < TOP, 1 / np.log2(ranks + 2), 0.0)
        return cls(
            hr=np.minimum(summed(ranks < TOP), 1.0),
            ndcg=summed(gains) / ideal[np.minimum(targets, TOP)],
            recall_100=summed(ranks < 100) / targets,
            recall_500=summed(ranks < 500) / targets,
        )

    def __len__(self) -> int:
        return len(self.hr)

    def named(self) -> dict[str, NDArray[np.float64]]:
        """By the names of reports."""
        return {
            "hr@10": self.hr,
            "ndcg@10": self.ndcg,
            "recall@100": self.recall_100,
            "recall@500": self.recall_500,
        }

    def means(self) -> dict[str, float]:
        """By the names of reports; of one question at least."""
        return {name: float(values.mean()) for name, values in self.named().items()}

    def user_means(self, users: NDArray[np.int64]) -> dict[str, float]:
        """Means over users of each user's mean.

        Args:
            users: (q,) user of each question.
        """
        _users, user, questions = np.unique(users, return_inverse=True, return_counts=True)
        return {
            name: float((np.bincount(user, values) / questions).mean())
            for name, values in self.named().items()
        }


@dataclass(frozen=True)
class RankingMetrics:
    """Means over questions.

    Attributes:
        hr, ndcg, recall_100, recall_500: see `Accuracy`.
        coverage: share of the catalogue that occurs in anyone's first ten.
    """

    hr: float
    ndcg: float
    recall_100: float
    recall_500: float
    coverage: float

    @classmethod
    def of(cls, accuracy: Accuracy, shown: NDArray[np.int32], n_items: int) -> "RankingMetrics":
        """From what each question gets, and the first ten of each (-1: no item)."""
        if not len(accuracy):
            return cls(0.0, 0.0, 0.0, 0.0, 0.0)
        return cls(
            hr=float(accuracy.hr.mean()),
            ndcg=float(accuracy.ndcg.mean()),
            recall_100=float(accuracy.recall_100.mean()),
            recall_500=float(accuracy.recall_500.mean()),
            coverage=len(np.unique(shown[shown >= 0])) / n_items,
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


def recall_at(
    depths: Sequence[int], ranks: NDArray[np.int64], questions: NDArray[np.int64]
) -> list[float]:
    """Recall at each depth, a mean over questions of the share of their targets found."""
    targets = np.bincount(questions)[questions]
    weights = 1 / targets / len(np.unique(questions))
    return [float(weights[ranks < depth].sum()) for depth in depths]


def self_information(users_of_item: NDArray[np.int64], n_users: int) -> NDArray[np.float64]:
    """(n,) bits: -log2 of the share of users who know the item (Zhou et al. 2010, PNAS 107(10)).

    An item that nobody knows counts as known to one, so that it is rare, not infinitely so.
    """
    known_to = np.maximum(users_of_item, 1)
    return np.log2(max(n_users, 1) / known_to)


def novelty(shown: NDArray[np.int32], information: NDArray[np.float64]) -> float:
    """Mean self-information in bits of what lists show (-1: no item); 0 without any."""
    items = shown[shown >= 0]
    return float(information[items].mean()) if len(items) else 0.0


def intra_list_distance(shown: NDArray[np.int32], vectors: NDArray[np.float32]) -> float | None:
    """One minus the mean cosine over a list's pairs, averaged over lists (Ziegler et al. 2005).

    Args:
        shown: (q, k) item rows; -1: no item.
        vectors: (n, d) one row an item. Items whose vector is zero have no direction: their pairs
            are left out, and so are lists in which no pair remains.

    Returns:
        0 (all alike) to 1 for vectors without negative entries; None when no pair remains.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    units = vectors / np.where(lengths > 0, lengths, 1)[:, None]
    units = np.concatenate([units, np.zeros((1, vectors.shape[1]), units.dtype)])  # row -1
    directed = np.append(lengths > 0, False)
    distances = []
    for start in range(0, len(shown), _BLOCK):
        rows = shown[start : start + _BLOCK]
        size = directed[rows].sum(axis=1)
        # The sum over ordered pairs is the squared length of the sum, less the n self-products.
        total = (units[rows].sum(axis=1, dtype=np.float64) ** 2).sum(axis=1)
        paired = size > 1
        cosine = (total[paired] - size[paired]) / (size[paired] * (size[paired] - 1))
        distances.append(1 - cosine)
    found = np.concatenate(distances) if distances else np.empty(0)
    return float(found.mean()) if len(found) else None


def jaccard_distance(shown: NDArray[np.int32], members: NDArray[np.bool_]) -> float | None:
    """One minus the mean Jaccard index of a list's pairs, averaged over lists.

    Args:
        shown: (q, k) item rows; -1: no item.
        members: (n, g) groups of items, such as genres. Items of no group are left out, and so are
            lists in which no pair remains.

    Returns:
        0 (all of the same groups) to 1 (none shared); None when no pair remains.
    """
    groups = np.concatenate([members, np.zeros((1, members.shape[1]), np.bool_)])  # row -1
    distances = []
    for start in range(0, len(shown), _BLOCK):
        held = groups[shown[start : start + _BLOCK]].astype(np.float32)
        shared = held @ held.transpose(0, 2, 1)
        size = held.sum(axis=2)
        either = size[:, :, None] + size[:, None] - shared
        paired = (size > 0)[:, :, None] & (size > 0)[:, None] & ~np.eye(held.shape[1], dtype=bool)
        distance = np.where(paired, 1 - shared / np.maximum(either, 1), 0).sum(axis=(1, 2))
        pairs = paired.sum(axis=(1, 2))
        distances.append(distance[pairs > 0] / pairs[pairs > 0])
    found = np.concatenate(distances) if distances else np.empty(0)
    return float(found.mean()) if len(found) else None


def gini(shown: NDArray[np.int32], n_items: int) -> float:
    """Gini coefficient of how often lists show each item of the catalogue (-1: no item).

    Returns:
        0 (all equally often) to almost 1 (a single one); 0 without any.
    """
    counts = np.sort(np.bincount(shown[shown >= 0], minlength=n_items))
    total = counts.sum()
    if not total:
        return 0.0
    places = np.arange(1, n_items + 1)
    return float(((2 * places - n_items - 1) * counts).sum() / (n_items * total))
