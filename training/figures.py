"""What a report says of models: figures of each, and how sure their comparison is.

docs/evaluation.md describes the document.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.cohorts import Masks, by_cohort, cohorts
from training.metrics import intra_list_distance, novelty, recall_at, self_information
from training.protocols import Fold
from training.ranks import Ranked
from training.sequences import EventSequences
from training.statistics import LEVEL, RESAMPLES, Bootstrap, holm

RECALL_DEPTHS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 400, 500)
REFERENCES = ("tandem", "two_tower")
"""All others are compared with the first of these that was measured."""

_TESTED = ("hr@10", "ndcg@10")
_SEED = 0


def describe(
    ranked: Mapping[str, Ranked], fold: Fold, genres: NDArray[np.float32]
) -> dict[str, Any]:
    """Figures of every model, and of each less the reference.

    Args:
        ranked: what each model, one at least, makes of the fold.
        genres: (n_items, g) one where the item has the genre; no column when the log has none.

    Returns:
        `{"models", "recall_depths", "reference", "paired", "bootstrap"}`.
    """
    users = fold.queries.questions()[0].users
    masks, information = cohorts(fold, len(genres)), _information(fold.train, len(genres))
    columns = [(name, metric) for name in ranked for metric in _TESTED]
    accuracies = {name: of_model.accuracy().named() for name, of_model in ranked.items()}
    values = np.column_stack([accuracies[name][metric] for name, metric in columns])
    bootstrap = Bootstrap.of(values, users, seed=_SEED)
    place = {column: at for at, column in enumerate(columns)}
    reference = next((name for name in REFERENCES if name in ranked), None)
    return {
        "models": {
            name: {
                **_figures(of_model, users, masks, information, genres),
                "ci": {metric: list(bootstrap.interval(place[name, metric])) for metric in _TESTED},
            }
            for name, of_model in ranked.items()
        },
        "recall_depths": list(RECALL_DEPTHS),
        "reference": reference,
        "paired": {} if reference is None else _paired(bootstrap, place, reference),
        "bootstrap": {"resamples": RESAMPLES, "level": LEVEL, "seed": _SEED, "unit": "user"},
    }


def _figures(
    ranked: Ranked,
    users: NDArray[np.int64],
    masks: Masks,
    information: NDArray[np.float64],
    genres: NDArray[np.float32],
) -> dict[str, Any]:
    distance = intra_list_distance(ranked.shown, genres) if genres.shape[1] else None
    return {
        **ranked.metrics().named(),
        "novelty": novelty(ranked.shown, information),
        **({} if distance is None else {"ild@10": distance}),
        "per_user": ranked.accuracy().user_means(users),
        "recall": recall_at(RECALL_DEPTHS, ranked.ranks, ranked.questions),
        "cohorts": by_cohort(ranked, masks),
    }


def _paired(
    bootstrap: Bootstrap, place: Mapping[tuple[str, str], int], reference: str
) -> dict[str, dict[str, Any]]:
    """Each other model less the reference; p is corrected over the models, metric by metric."""
    others = list(dict.fromkeys(name for name, _ in place if name != reference))
    paired: dict[str, dict[str, Any]] = {name: {} for name in others}
    for metric in _TESTED:
        base = place[reference, metric]
        found = [bootstrap.difference(place[name, metric], base) for name in others]
        corrected = holm([difference.p for difference in found])
        for name, difference, p_holm in zip(others, found, corrected, strict=True):
            paired[name][metric] = {**asdict(difference), "p_holm": p_holm}
    return paired


def _information(train: EventSequences, n_items: int) -> NDArray[np.float64]:
    """(n_items,) bits by the share of training users who had an event on the item."""
    users_of_item = np.bincount(train.rows[train.first_touches()], minlength=n_items)
    return self_information(users_of_item, int((np.diff(train.offsets) > 0).sum()))
