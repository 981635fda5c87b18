"""Learns the weights of the final score's parts from held-out events.

The model is the conditional logit (McFadden 1974): of the candidates C of a query the next item j
is chosen with probability exp(w . f_j) / sum over i in C of exp(w . f_i). Weights are bounded below
by zero: a negative one would only push a weak source's items out of deep lists. A Gaussian prior
around `DEFAULT_WEIGHTS` worth a few events decides where the data are silent.

Likelihood cares as much for targets deep in the list as for those near its top, so from there on
each weight in turn is varied for the best uncut nDCG (coordinate ascent; Metzler and Croft 2007).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.evidence import Evidence
from models.final_score import DEFAULT_WEIGHTS, TOWERS, FinalScorer
from models.scorer import TowerScorer
from training.splits import Queries

_QUERIES = 2_000
_CANDIDATES = 200  # of each part
_PRIOR_EVENTS = 4.0
_FEWEST_TO_ASCEND = 500
_ROUNDS = 4
_FACTORS = (0.5, 0.7, 0.85, 1.2, 1.4, 2.0)
_LEAST_GAIN = 1e-4
_BLOCK = 64
FIXED = ("genres", "newcomers")
"""Parts that speak for users of few events, whom the held-out events may lack: their weights are
not learnt."""


def catalogue_scores(scorer: FinalScorer, queries: Queries) -> NDArray[np.float32]:
    """(q, n) final scores of the whole catalogue."""
    return scorer.catalogue(queries.histories(scorer.towers.model.schema.history_length))


@dataclass(frozen=True)
class Choices:
    """Candidates of queries, one after another.

    Attributes:
        features: (c, p) float32 parts of the candidates' scores, with unit weights.
        starts: (q,) first candidate of each query, which is the item that came next.
    """

    features: NDArray[np.float32]
    starts: NDArray[np.int64]


def fit_weights(
    towers: TowerScorer,
    evidence: Sequence[Evidence],
    held_out: Queries,
    progress: Callable[[int, int], None],
    seed: int = 0,
) -> dict[str, float]:
    """Weights by name of the part, all >= 0.

    Args:
        towers: trained without the held-out events.
        evidence: likewise.
        held_out: events to predict; at most 2,000 are looked at, drawn by `seed`.
        progress: called with (queries done, queries in all).
    """
    names = [TOWERS, *(part.name for part in evidence)]
    start = np.array([DEFAULT_WEIGHTS[name] for name in names])
    if len(held_out) > _QUERIES:
        drawn = np.random.default_rng(seed).choice(len(held_out), _QUERIES, replace=False)
        held_out = held_out.take(np.sort(drawn))
    unit = FinalScorer(towers, evidence, dict.fromkeys(names, 1.0))
    choices = gather(unit, held_out, progress)
    free = np.array([name not in FIXED for name in names])
    weights = _ascend(choices, _maximize(choices, start, free), free)
    return dict(zip(names, weights.tolist(), strict=True))


def gather(scorer: FinalScorer, queries: Queries, progress: Callable[[int, int], None]) -> Choices:
    """The best unseen items of each part, and the item that came next."""
    features, sizes = [np.empty((0, len(scorer.names)), np.float32)], list[int]()
    for start in range(0, len(queries), _BLOCK):
        block = queries.take(slice(start, start + _BLOCK))
        histories = block.histories(scorer.towers.model.schema.history_length)
        for at, parts in enumerate(scorer.catalogue_parts(histories)):
            target, seen = int(block.targets[at]), block.seen(at)
            if target in seen:
                continue
            parts[:, seen] = -np.inf
            width = min(_CANDIDATES, parts.shape[1] - len(np.unique(seen)))
            best = np.argpartition(-parts, width - 1, axis=1)[:, :width]
            others = np.setdiff1d(best, np.append(seen, target))
            features.append(parts[:, np.concatenate([[target], others])].T)
            sizes.append(1 + len(others))
        progress(start + len(block), len(queries))
    starts = np.concatenate([[0], np.cumsum(sizes)])[:-1].astype(np.int64)
    return Choices(np.concatenate(features), starts)


def _maximize(
    choices: Choices, start: NDArray[np.float64], free: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The most probable weights; those not free stay as they are."""
    if not len(choices.starts):
        return start
    features = choices.features.astype(np.float64) * start  # units of the prior
    lengths = np.diff(np.append(choices.starts, len(features)))

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = features @ weights
        highest = np.maximum.reduceat(scores, choices.starts)
        exponentials = np.exp(scores - np.repeat(highest, lengths))
        sums = np.add.reduceat(exponentials, choices.starts)
        logs = highest + np.log(sums) - scores[choices.starts]
        probabilities = exponentials / np.repeat(sums, lengths)
        gradient = probabilities @ features - features[choices.starts].sum(axis=0)
        away = weights - 1
        prior = _PRIOR_EVENTS * away
        return float(logs.sum() + 0.5 * away @ prior), gradient + prior

    bounds = [(0.0, None) if each else (1.0, 1.0) for each in free]
    found = minimize(loss, np.ones(len(start)), jac=True, method="L-BFGS-B", bounds=bounds)
    weights: NDArray[np.float64] = found.x * start
    return weights


def _ascend(
    choices: Choices, weights: NDArray[np.float64], free: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Multiplies one weight after another as long as the list gets better."""
    if len(choices.starts) < _FEWEST_TO_ASCEND:
        return weights
    lengths = np.diff(np.append(choices.starts, len(choices.features)))

    def gain(tried: NDArray[np.float64]) -> float:
        scores = choices.features @ tried.astype(np.float32)
        better = scores > np.repeat(scores[choices.starts], lengths)
        ranks = np.add.reduceat(better.astype(np.int64), choices.starts)
        return float((1 / np.log2(ranks + 2)).mean())

    best = gain(weights)
    for _ in range(_ROUNDS):
        before = best
        for part in np.flatnonzero(free & (weights > 0)):
            for factor in _FACTORS:
                tried = weights.copy()
                tried[part] *= factor
                found = gain(tried)
                if found > best + _LEAST_GAIN:
                    best, weights = found, tried
        if best == before:
            break
    return weights
