"""Fits the head on held-out events, and says how well it is calibrated.

A network is surest of what it has been trained on, so the line of the head comes from events that
neither towers nor other parts have seen (Platt 1999), each with four sampled negatives, as in
training. It has a few pieces, for one alone leaves the middle too low and the top too high.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from models.final_score import FinalScorer
from models.head import CLICK, MAX_UTILITY, Head, pieces
from training.sampling import NEGATIVES_A_POSITIVE, mixed_distribution
from training.sequences import EventSequences
from training.splits import Queries
from training.utility import UtilityWeights

BINS = 15

_BLOCK = 128
_KNOT_SHARES = (0.0, 0.25, 0.5, 0.7, 0.85, 0.95, 1.0)
_MANY_PAIRS = 500
_LEAST_RISE = 1e-3  # of the line from knot to knot: the order of items stays
_RIDGE = 0.1  # in pairs


@dataclass(frozen=True)
class Bin:
    """Pairs of like prediction: how many, their mean prediction, their mean outcome."""

    pairs: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class Calibration:
    """A head, and how far its predictions are from what happened.

    Attributes:
        head: fitted on all pairs.
        ece: expected calibration error (Guo et al. 2017) of heads that were fitted on the other
            half of the users; utilities are divided by 15. NaN without pairs.
        bins: of these predictions; the reliability diagram.
    """

    head: Head
    ece: float
    bins: Sequence[Bin]


@dataclass(frozen=True)
class Pairs:
    """Held-out interactions with sampled negatives.

    Attributes:
        users: (m,) int64.
        scores: (m,) float32 final scores.
        outcomes: (m,) float64: clicked (1 or 0), or utility (0 to 15; 0 for a negative).
    """

    users: NDArray[np.int64]
    scores: NDArray[np.float32]
    outcomes: NDArray[np.float64]


def calibrate(
    scorer: FinalScorer,
    known: EventSequences,
    held_out: Queries,
    objective: str,
    weights: UtilityWeights,
    seed: int,
) -> Calibration:
    """Fits the head of an objective.

    Args:
        scorer: has not seen the held-out events.
        known: what it has seen; negatives are drawn by its popularity.
        held_out: events to predict.
        objective: `click` or `utility`.
        weights: of composite utility.
        seed: of the negatives.
    """
    pairs = sample_pairs(scorer, known, held_out, objective, weights, seed)
    head = fit_head(objective, pairs.scores, pairs.outcomes)
    half = pairs.users % 2 == 0
    predicted = np.empty(len(half))
    for part in (half, ~half):
        other = fit_head(objective, pairs.scores[~part], pairs.outcomes[~part])
        predicted[part] = other.predict(pairs.scores[part])
    largest = 1.0 if objective == CLICK else MAX_UTILITY
    bins = reliability(predicted / largest, pairs.outcomes / largest)
    return Calibration(head, expected_error(bins), bins)


def sample_pairs(
    scorer: FinalScorer,
    known: EventSequences,
    held_out: Queries,
    objective: str,
    weights: UtilityWeights,
    seed: int,
) -> Pairs:
    """Each held-out item with four sampled ones that its user has not seen."""
    log = held_out.log
    kinds, values = log.kinds[held_out.positions], log.values[held_out.positions]
    gain = np.minimum(weights.of_events(kinds, values), MAX_UTILITY).astype(np.float64)
    rows, chances = mixed_distribution(known)
    rng = np.random.default_rng(seed)
    length = scorer.towers.model.schema.history_length
    users, scores, outcomes = [], [], []
    for start in range(0, len(held_out), _BLOCK):
        block = held_out.take(slice(start, start + _BLOCK))
        for at, catalogue in enumerate(scorer.catalogue(block.histories(length))):
            target, seen = int(block.targets[at]), block.seen(at)
            if target in seen:
                continue
            drawn = rng.choice(rows, NEGATIVES_A_POSITIVE, p=chances)
            drawn = drawn[~np.isin(drawn, np.append(seen, target))]
            found = np.append(target, drawn)
            positive = 1.0 if objective == CLICK else gain[start + at]
            users.append(np.full(len(found), block.users[at]))
            scores.append(catalogue[found])
            outcomes.append(np.append(positive, np.zeros(len(drawn))))
    if not users:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0))
    return Pairs(np.concatenate(users), np.concatenate(scores), np.concatenate(outcomes))


def fit_head(objective: str, scores: NDArray[np.float32], outcomes: NDArray[np.float64]) -> Head:
    """The head of least log loss, or of least squared error; a plain line for few pairs."""
    knots = _knots(scores)
    steps = pieces(scores, knots)

    def loss(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = line[0] + steps @ line[1:]
        if objective == CLICK:
            value = np.logaddexp(0, z) - outcomes * z
            by_z = expit(z) - outcomes
        else:
            away = np.maximum(z, 0) - outcomes
            value, by_z = 0.5 * away**2, np.where(z > 0, away, 0)
        slopes = line[1:]
        gradient = np.append(by_z.sum(), by_z @ steps + _RIDGE * slopes)
        return float(value.sum() + 0.5 * _RIDGE * slopes @ slopes), gradient

    start = np.append(outcomes.mean() if len(outcomes) else 0.0, np.ones(len(knots) - 1))
    bounds = [(None, None)] + [(_LEAST_RISE, None)] * (len(knots) - 1)
    line = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return Head(objective, knots, tuple(np.cumsum(line).tolist()))


def _knots(scores: NDArray[np.float32]) -> tuple[float, ...]:
    shares = _KNOT_SHARES if len(scores) >= _MANY_PAIRS else (0.0, 1.0)
    found = np.unique(np.quantile(scores, shares)) if len(scores) else np.zeros(1)
    if len(found) < 2:
        found = found[0] + np.array([0.0, 1.0])
    return tuple(found.tolist())


def reliability(predicted: NDArray[np.floating], observed: NDArray[np.floating]) -> list[Bin]:
    """Means within `BINS` bins of equal width over 0 to 1; empty bins are left out."""
    place = np.clip((predicted * BINS).astype(np.int64), 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    sums = np.bincount(place, predicted, minlength=BINS), np.bincount(place, observed, BINS)
    return [
        Bin(int(counts[b]), float(sums[0][b] / counts[b]), float(sums[1][b] / counts[b]))
        for b in np.flatnonzero(counts)
    ]


def expected_error(bins: Sequence[Bin]) -> float:
    """Mean distance of prediction and outcome over bins, weighed by their pairs."""
    pairs = sum(each.pairs for each in bins)
    if not pairs:
        return float("nan")
    return sum(each.pairs * abs(each.predicted - each.observed) for each in bins) / pairs
