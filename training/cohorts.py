"""For whom and for what a model works: by length of history, by popularity of the target."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.metrics import Accuracy
from training.protocols import Fold
from training.ranks import Ranked

Masks = Mapping[str, Mapping[str, NDArray[np.bool_]]]
"""By kind of cohort and by name: (t,) the targets that belong to it."""

_HISTORIES = {"0-4": (0, 5), "5-19": (5, 20), "20-99": (20, 100), "100+": (100, np.inf)}


def cohorts(fold: Fold, n_items: int) -> Masks:
    """The cohorts of a fold's targets, four ways.

    `history`: events known of the user at the question. `first`: whether the event is the first
    that is known of the user, so that a model has nothing to go by. `user`: whether the user had an
    event that models learnt from. `target`: `head` are the most
    popular items that together hold half of the training events, `new` are items without any, and
    `tail` is the rest.
    """
    known = fold.queries.known_events
    events = np.bincount(fold.train.rows, minlength=n_items)
    target = fold.queries.targets
    head, new = head_items(events)[target], (events == 0)[target]
    learnt = (np.diff(fold.train.offsets) > 0)[fold.queries.users]
    return {
        "history": {
            name: (known >= low) & (known < high) for name, (low, high) in _HISTORIES.items()
        },
        "first": {"first event": known == 0, "later event": known > 0},
        "user": {"seen in training": learnt, "unseen in training": ~learnt},
        "target": {"head": head, "tail": ~head & ~new, "new": new},
    }


def head_items(events: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) the fewest items that hold half of the events.

    Args:
        events: (n,) events of each item.
    """
    order = np.argsort(-events, kind="stable")
    before = np.cumsum(events[order]) - events[order]
    head = np.zeros(len(events), dtype=np.bool_)
    head[order] = before < events.sum() / 2
    return head


def by_cohort(ranked: Ranked, masks: Masks) -> dict[str, dict[str, dict[str, Any]]]:
    """By kind and name of cohort: `n` questions, and their metrics (None where n is 0).

    Of a question's several targets only those of the cohort count.
    """
    return {
        kind: {name: _metrics(ranked, mask) for name, mask in of_kind.items()}
        for kind, of_kind in masks.items()
    }


def _metrics(ranked: Ranked, mask: NDArray[np.bool_]) -> dict[str, Any]:
    questions, question = np.unique(ranked.questions[mask], return_inverse=True)
    found = Accuracy.of(ranked.ranks[mask], question, len(questions))
    if not len(questions):
        return {"n": 0, **dict.fromkeys(found.named())}
    return {"n": len(questions), **found.means()}
