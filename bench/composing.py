"""Milliseconds it takes to compose a slate, beside sorting its candidates by score.

    python -m bench.composing [--repeats N] [--json]

Candidates are random; 50 are chosen of 1,000. One thread: set OMP_NUM_THREADS=1.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter

import click
import numpy as np
from numpy.typing import NDArray

from models.diversity import DPP, MMR, Composition, compose
from models.genre_calibration import genre_mix
from models.slate_rules import Groups, Window

_CANDIDATES = 1_000
_COUNT = 50
_GENRES = 20
_CREATORS = 300
_WARM_UP = 20


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one way."""

    name: str
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class World:
    """Random candidates.

    Attributes:
        scores: (n,) float32, falling.
        vectors: (n, d) float32.
        members: (n, genres + creators) bool, column-major; some genres and one creator each.
        target: (genres,) float32 a user's mix.
    """

    scores: NDArray[np.float32]
    vectors: NDArray[np.float32]
    members: NDArray[np.bool_]
    target: NDArray[np.float32]

    @classmethod
    def random(cls, dimensions: int, seed: int = 0) -> "World":
        rng = np.random.default_rng(seed)
        members = np.zeros((_GENRES + _CREATORS, _CANDIDATES), np.bool_)
        members[:_GENRES] = rng.random((_GENRES, _CANDIDATES)) < 2.5 / _GENRES
        creators = rng.integers(0, _CREATORS, _CANDIDATES)
        members[_GENRES + creators, np.arange(_CANDIDATES)] = True
        return cls(
            scores=np.sort(rng.normal(size=_CANDIDATES).astype(np.float32))[::-1].copy(),
            vectors=rng.normal(size=(_CANDIDATES, dimensions)).astype(np.float32),
            members=members.T,
            target=genre_mix(rng.random((80, _GENRES)) < 2.5 / _GENRES),
        )


def measure(world: World, repeats: int) -> list[Timing]:
    """Times each way."""
    caps = np.concatenate([np.full(_GENRES, _COUNT // 2), np.full(_CREATORS, 2)])
    capped = Groups(world.members, caps)
    ruled = Groups(world.members, caps, ((slice(0, _GENRES), Window(3, 5)),))

    def composed(method: str, calibration: float, groups: Groups | None) -> Callable[[], object]:
        return partial(
            compose,
            world.scores,
            world.vectors.__getitem__,
            _COUNT,
            Composition(method, 0.1, calibration),
            groups=groups,
            target=world.target,
        )

    unsorted = np.random.default_rng(0).permutation(world.scores)
    ways: Mapping[str, Callable[[], object]] = {
        "sort": lambda: np.argsort(-unsorted, kind="stable")[:_COUNT],
        "caps": composed("none", 0.0, capped),
        "caps, window": composed("none", 0.0, ruled),
        "mmr": composed(MMR, 0.0, None),
        "dpp": composed(DPP, 0.0, None),
        "mmr, calibration, caps, window": composed(MMR, 0.2, ruled),
        "dpp, calibration, caps, window": composed(DPP, 0.2, ruled),
    }
    return [_timed(name, way, repeats) for name, way in ways.items()]


def _timed(name: str, way: Callable[[], object], repeats: int) -> Timing:
    for _ in range(_WARM_UP):
        way()
    seconds = np.empty(repeats)
    for at in range(repeats):
        began = perf_counter()
        way()
        seconds[at] = perf_counter() - began
    p50, p99 = np.quantile(seconds, [0.5, 0.99]) * 1e3
    return Timing(name, round(float(p50), 4), round(float(p99), 4))


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=500, help="Slates of each way.")
@click.option("--dimensions", type=click.IntRange(min=1), default=64, help="Of item vectors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def main(repeats: int, dimensions: int, as_json: bool) -> None:
    """Times composing 50 of 1,000 random candidates."""
    timings = measure(World.random(dimensions), repeats)
    if as_json:
        print(json.dumps({"dimensions": dimensions, "ways": [asdict(each) for each in timings]}))
        return
    for each in timings:
        print(f"{each.name:32} p50 {each.p50_ms:7.3f} ms   p99 {each.p99_ms:7.3f} ms")


if __name__ == "__main__":
    main()
