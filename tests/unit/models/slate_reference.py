"""Slates by definition: every gain from scratch, in double precision. Slow."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Gain = Callable[[Sequence[int], int], float]
"""What a candidate adds to those taken."""


def unit_relevance(scores: NDArray[np.float32]) -> Floats:
    """(n,) scores, all finite, scaled to 0..1."""
    wide = scores.astype(np.float64)
    scaled: Floats = (wide - wide.min()) / max(wide.max() - wide.min(), 1e-12)
    return scaled


def log_determinant_gain(relevance: Floats, vectors: NDArray[np.float32], weight: float) -> Gain:
    """Rise of log det L, times the weight; L as in Chen, Zhang and Zhou (2018)."""
    unit = vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    quality = np.exp((1 - weight) / (2 * weight) * relevance)
    kernel = quality[:, None] * (1 + unit @ unit.T) / 2 * quality

    def log_det(taken: Sequence[int]) -> float:
        sign, value = np.linalg.slogdet(kernel[np.ix_(taken, taken)])
        assert sign > 0
        return float(value)

    def gain(taken: Sequence[int], candidate: int) -> float:
        return weight * (log_det([*taken, candidate]) - (log_det(taken) if taken else 0))

    return gain


def divergence(target: NDArray[np.float32], members: NDArray[np.bool_]) -> float:
    """KL(p || q) of a slate's smoothed genres from the user's (Steck 2018)."""
    wanted = target.astype(np.float64)
    with_genres = members[members.any(axis=1)].astype(np.float64)
    mix = np.zeros(len(target))
    if len(with_genres):
        mix = (with_genres / with_genres.sum(axis=1, keepdims=True)).mean(axis=0)
    smoothed = 0.99 * mix + 0.01 * wanted
    known = wanted > 0
    return float((wanted[known] * np.log(wanted[known] / smoothed[known])).sum())
