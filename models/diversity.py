"""From ranked candidates to a slate: diversity, calibration, caps, windows, fixed places.

One greedy loop fills places in order, each with the candidate that adds most among those that the
rules allow there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.genre_calibration import GenreCalibration
from models.marginal_gains import (
    DeterminantalGains,
    MarginalGains,
    MarginalRelevance,
    Relevance,
    unit_scale,
)
from models.slate_rules import Groups, SlateRules, too_close

NONE, MMR, DPP = "none", "mmr", "dpp"
METHODS = (NONE, MMR, DPP)

DEFAULT_WEIGHT = 0.05
"""What slates are made with, by maximal marginal relevance, unless configured otherwise."""

_POOL_FACTOR = 4
_SMALLEST_POOL = 50

Vectors = Callable[[NDArray[np.int32]], NDArray[np.float32]]
"""(k,) positions of candidates to (k, d) float32 vectors."""


@dataclass(frozen=True)
class Composition:
    """What a slate is composed by, besides relevance.

    Attributes:
        method: of diversity: `none`, `mmr` (`models.marginal_gains.MarginalRelevance`) or `dpp`
            (`models.marginal_gains.DeterminantalGains`).
        weight: of diversity, 0 (relevance alone) to 1 (diversity alone).
        calibration: of the genres' fit to the user's own, 0 to 1; the rest is the weight of
            relevance and diversity.

    Raises:
        ValueError: there is no such method, or a weight is not within 0..1.
    """

    method: str = NONE
    weight: float = 0.0
    calibration: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method {self.method!r} is not one of {', '.join(METHODS)}")
        for name in ("weight", "calibration"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} {getattr(self, name)} is not within 0..1")


@dataclass(frozen=True)
class Composed:
    """A slate.

    Attributes:
        positions: (k,) int32 positions of candidates, in the order of places.
        dropped: int32 positions, ascending, of candidates that caps kept out: they outrank one
            that was chosen, or the slate is short for want of them.
        relaxed: int32 places, ascending, where a window is not kept; see `too_close`.
    """

    positions: NDArray[np.int32]
    dropped: NDArray[np.int32]
    relaxed: NDArray[np.int32]


def compose(
    scores: NDArray[np.float32],
    vectors: Vectors,
    count: int,
    composition: Composition,
    *,
    groups: Groups | None = None,
    target: NDArray[np.float32] | None = None,
    fixed: Mapping[int, int] | None = None,
) -> Composed:
    """Composes a slate of `count`, or of as many as there are within the caps.

    A place goes to the candidate of the pool, the first `pool_size(count)`, that adds most while it
    keeps caps and windows; when none does, to the first one after the pool that does; when no
    candidate keeps the windows, to the best within the caps. Relevance is the score, scaled to
    0..1 over the pool. What comes from outside the pool without being fixed makes no difference to
    diversity.

    Fixed candidates are in the slate from the start, whatever the rules say: they count for caps,
    for windows before and after them, for diversity and calibration. In a slate too short for
    their places they come last.

    Args:
        scores: (n,) scores, not increasing.
        vectors: of candidates; asked only for those of the pool and fixed ones, if at all.
        count: candidates wanted.
        composition: what the slate is composed by.
        groups: of the n candidates, with caps and windows; None for none.
        target: (t,) float32, the user's mix of the first t groups, from
            `models.genre_calibration.genre_mix`; None, or all zero, for no calibration.
        fixed: positions of candidates by their place, from 0.

    Raises:
        ValueError: `fixed` names a place or a position that is not there, or a position twice.
    """
    n, fixed = len(scores), dict(sorted((fixed or {}).items()))
    _check_fixed(fixed, n, count)
    places = min(count, n)
    if groups is None:
        groups = Groups(np.empty((n, 0), np.bool_))
    calibrated = bool(composition.calibration and target is not None and target.any())
    plain = composition.method == NONE or not composition.weight
    if plain and not calibrated and not fixed and not groups.members.shape[1]:
        nothing = np.empty(0, np.int32)
        return Composed(np.arange(places, dtype=np.int32), nothing, nothing)

    pool = min(n, pool_size(count))
    candidates = [*range(pool), *(position for position in fixed.values() if position >= pool)]
    known = {position: candidate for candidate, position in enumerate(candidates)}
    diversity = _diversity(scores[:pool], vectors, candidates, composition, places)
    calibration = None
    if calibrated and target is not None:
        calibration = GenreCalibration(target, groups.members[:, : len(target)], pool)
    rules = SlateRules(groups, max([places, *(place + 1 for place in fixed)]))

    def put(place: int, position: int) -> None:
        rules.put(place, position)
        if position in known:
            diversity.put(known[position])
        if calibration is not None:
            calibration.put(position)

    for place, position in fixed.items():
        put(place, position)
    slate, last, waiting = list[int](), -1, dict(fixed)
    for place in range(places):
        if place in waiting:
            slate.append(waiting.pop(place))
            continue
        gains = diversity.of_pool()
        if calibration is not None:
            weight = composition.calibration
            gains = (1 - weight) * gains + weight * calibration.of_pool()
        best = _best(gains, rules.allowed(place))
        if best is None:
            best = _best(gains, rules.within_caps())
        if best is None:
            last = n
            break
        put(place, best)
        slate.append(best)
        last = max(last, best)
    positions = np.array([*slate, *waiting.values()], np.int32)
    kept_out = ~rules.within_caps()
    kept_out[positions] = False
    dropped = np.flatnonzero(kept_out[: last + 1]).astype(np.int32)
    return Composed(positions, dropped, too_close(groups, positions))


def mmr(
    scores: NDArray[np.float32], vectors: NDArray[np.float32], weight: float, count: int
) -> NDArray[np.int32]:
    """Chooses by maximal marginal relevance alone (Carbonell and Goldstein, 1998).

    Args:
        scores: (n,) scores, not increasing.
        vectors: (p, d) vectors of the first p = min(n, pool_size(count)) candidates.
        weight: 0 (the order as it is) to 1.
        count: candidates wanted.

    Returns:
        (min(count, n),) int32 positions, in the order taken.
    """
    composition = Composition(MMR, weight)
    return compose(scores, lambda positions: vectors[positions], count, composition).positions


def pool_size(count: int) -> int:
    """Candidates that a slate of `count` is chosen from."""
    return max(_POOL_FACTOR * count, _SMALLEST_POOL)


def _diversity(
    scores: NDArray[np.float32],
    vectors: Vectors,
    candidates: list[int],
    composition: Composition,
    places: int,
) -> MarginalGains:
    relevance, weight = unit_scale(scores), composition.weight
    if composition.method == NONE or not weight:
        return Relevance(relevance)
    known = vectors(np.array(candidates, np.int32))
    if composition.method == MMR:
        return MarginalRelevance(relevance, known, weight)
    return DeterminantalGains(relevance, known, weight, places)


def _best(gains: NDArray[np.float32], allowed: NDArray[np.bool_]) -> int | None:
    """Position of the largest gain in the pool among the allowed, else of the first of the rest."""
    pool = len(gains)
    best = int(np.where(allowed[:pool], gains, -np.inf).argmax())
    if allowed[best]:
        return best
    first = int(allowed.argmax())
    return first if allowed[first] else None


def _check_fixed(fixed: Mapping[int, int], n: int, count: int) -> None:
    for place, position in fixed.items():
        if not 0 <= place < count or not 0 <= position < n:
            raise ValueError(f"candidate {position} of {n} is fixed to place {place} of {count}")
    if len(set(fixed.values())) < len(fixed):
        raise ValueError(f"a candidate is fixed twice: {dict(fixed)}")
