"""From ranked candidates to a slate: diversity, calibration, caps, windows, fixed places.

One greedy loop fills places in order, each with the candidate that adds most among those that the
rules allow there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

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

    @property
    def diverse(self) -> bool:
        """Whether diversity counts."""
        return self.method != NONE and self.weight > 0


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
    if target is None or not target.any():
        composition = replace(composition, calibration=0.0)
    plain = not composition.diverse and not composition.calibration
    if plain and groups is None and not fixed:
        nothing = np.empty(0, np.int32)
        return Composed(np.arange(places, dtype=np.int32), nothing, nothing)
    groups = groups or Groups(np.empty((n, 0), np.bool_))
    making = _Making(scores, vectors, count, composition, groups, target, fixed)
    slate, waiting = list[int](), dict(fixed)
    for place in range(places):
        if place in waiting:
            slate.append(waiting.pop(place))
        elif (best := making.best(place)) is not None:
            making.put(place, best)
            slate.append(best)
        else:
            break
    positions = np.array([*slate, *waiting.values()], np.int32)
    last = max(set(slate) - set(fixed.values()), default=-1) if len(positions) == places else n
    kept_out = ~making.rules.within_caps()
    kept_out[positions] = False
    dropped = np.flatnonzero(kept_out[: last + 1]).astype(np.int32)
    return Composed(positions, dropped, too_close(groups, positions))


class _Making:
    """A slate in the making, with what is fixed in it; arguments as of `compose`."""

    def __init__(
        self,
        scores: NDArray[np.float32],
        vectors: Vectors,
        count: int,
        composition: Composition,
        groups: Groups,
        target: NDArray[np.float32] | None,
        fixed: Mapping[int, int],
    ) -> None:
        pool = min(len(scores), pool_size(count))
        beyond = [position for position in fixed.values() if position >= pool]
        self._beyond = {position: pool + at for at, position in enumerate(beyond)}
        self._pool = pool
        places = min(count, len(scores))
        self._diversity = _diversity(scores[:pool], vectors, beyond, composition, places)
        self._calibration = None
        if composition.calibration and target is not None:
            members, weight = groups.members[:, : len(target)], composition.calibration
            self._calibration = GenreCalibration(target, members, pool, weight)
        self.rules = SlateRules(groups, max([places, *(place + 1 for place in fixed)]))
        for place, position in fixed.items():
            self.put(place, position)

    def best(self, place: int) -> int | None:
        """Position of what fits best into a place; None when caps leave nothing."""
        gains = self._diversity.of_pool()
        if self._calibration is not None:
            gains = gains + self._calibration.of_pool()
        best = _best(gains, self.rules.allowed(place))
        return _best(gains, self.rules.within_caps()) if best is None else best

    def put(self, place: int, position: int) -> None:
        self.rules.put(place, position)
        candidate = position if position < self._pool else self._beyond.get(position)
        if candidate is not None:
            self._diversity.put(candidate)
        if self._calibration is not None:
            self._calibration.put(position)


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
    beyond: Sequence[int],
    composition: Composition,
    places: int,
) -> MarginalGains:
    """Of a pool, and of what is fixed from beyond it, but for the share of calibration."""
    relevance, share = unit_scale(scores), 1 - composition.calibration
    if not composition.diverse:
        return Relevance(share * relevance)
    relevance, weight = share * (1 - composition.weight) * relevance, share * composition.weight
    known = vectors(np.array([*range(len(scores)), *beyond], np.int32))
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
