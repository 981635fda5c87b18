"""Learns the tables that the final score's parts read; see `models.evidence`."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array

from models.ease import Ease, fit_ease
from models.neighbours import Neighbours, top_rows
from models.transitions import transition_counts, transition_probabilities
from training.baselines.histories import binary
from training.config import TrainingConfig
from training.sequences import EventSequences

_BLOCK_CELLS = 1 << 23


def transition_table(log: EventSequences, n_items: int, config: TrainingConfig) -> Neighbours:
    """The items that most often follow each item, with smoothed probabilities."""
    taste, transitions = log.taste(), config.transitions
    counts = transition_counts(
        taste.rows, taste.offsets, n_items, lags=transitions.lags, decay=transitions.decay
    )
    return _kept(transition_probabilities(counts), config.evidence.neighbours)


def ease_table(log: EventSequences, n_items: int, config: TrainingConfig) -> Neighbours:
    """The items that each item speaks for most."""
    ease = fit_ease(binary(log, n_items), config.evidence.ease_regularization)
    known = np.zeros(n_items, dtype=np.bool_)
    known[log.rows] = True
    width = min(config.evidence.neighbours, n_items)
    rows = np.full((n_items, width), -1, dtype=np.int32)
    scores = np.zeros((n_items, width), dtype=np.float32)
    each = np.flatnonzero(known)
    size = max(1, _BLOCK_CELLS // n_items)
    for start in range(0, len(each), size):
        part = each[start : start + size]
        rows[part], scores[part] = top_rows(_weights(ease, part, n_items), width)
    return Neighbours(rows, scores)


def _weights(ease: Ease, items: NDArray[np.int64], n_items: int) -> NDArray[np.float32]:
    """(b, n) rows of EASE's weights: what a history of one item scores."""
    alone = csr_array(eye_array(n_items, dtype=np.float32, format="csr")[items])
    weights = ease.score(alone)
    weights[np.arange(len(items)), items] = 0
    return weights


def _kept(table: csr_array, width: int) -> Neighbours:
    n = table.shape[0]
    width = min(width, n)
    rows = np.full((n, width), -1, dtype=np.int32)
    scores = np.zeros((n, width), dtype=np.float32)
    size = max(1, _BLOCK_CELLS // n)
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        rows[part], scores[part] = top_rows(table[part].toarray(), width)
    return Neighbours(rows, scores)
