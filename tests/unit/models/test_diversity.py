from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.diversity import METHODS, Composed, Composition, compose, mmr, pool_size
from models.genre_calibration import genre_mix
from models.slate_rules import UNLIMITED, Groups, Window
from tests.unit.models.slate_reference import log_determinant_gain, unit_relevance
from training.metrics import intra_list_distance

Floats = NDArray[np.float32]


def marginal_relevance(
    scores: Floats, vectors: Floats, weight: float, taken: list[int]
) -> NDArray[np.float64]:
    """By definition, from scratch, in double precision; no candidate is nearer than a right angle
    to nothing."""
    pool = scores[: len(vectors)].astype(np.float64)
    relevance = (pool - pool.min()) / max(pool.max() - pool.min(), 1e-12)
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = [max([float(each @ unit[j]) for j in taken] + [0.0]) for each in unit]
    marginal: NDArray[np.float64] = (1 - weight) * relevance - weight * np.array(nearest)
    marginal[taken] = -np.inf
    return marginal


@given(
    st.integers(2, 70),
    st.integers(2, 15),
    st.sampled_from([0.05, 0.3, 0.7, 1.0]),
    st.integers(0, 10_000),
)
def test_each_choice_is_the_best_by_the_definition(
    n: int, count: int, weight: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = np.sort(rng.normal(size=n).astype(np.float32))[::-1]
    vectors = rng.normal(size=(min(n, pool_size(count)), 4)).astype(np.float32)
    found = mmr(scores, vectors, weight, count).tolist()
    assert len(set(found)) == len(found) == min(n, count)
    for place, chosen in enumerate(found):
        marginal = marginal_relevance(scores, vectors, weight, found[:place])
        assert marginal[chosen] >= marginal.max() - 1e-5  # float32 may tell equals apart


@given(st.integers(0, 60), st.integers(0, 20))
def test_without_weight_the_order_stays(n: int, count: int) -> None:
    vectors = np.ones((min(n, pool_size(count)), 2), np.float32)
    scores = np.arange(n, 0, -1).astype(np.float32)
    assert mmr(scores, vectors, 0.0, count).tolist() == list(range(min(n, count)))


def test_a_copy_of_the_best_gives_way_to_something_else() -> None:
    scores = np.array([1.0, 0.99, 0.9, 0.0], np.float32)
    vectors = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    assert mmr(scores, vectors, 0.3, 3).tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    "scores",
    [
        [np.inf, 2.0, 1.0, -np.inf],
        [np.inf, np.inf, -np.inf, -np.inf],
        [2.0, 1.0, -np.inf, -np.inf],
    ],
)
def test_infinite_scores_go_to_the_ends(scores: list[float]) -> None:
    vectors = np.eye(4, dtype=np.float32)
    assert mmr(np.array(scores, np.float32), vectors, 0.2, 4).tolist() == [0, 1, 2, 3]


def test_vectors_of_length_zero_are_like_nothing() -> None:
    scores = np.array([3.0, 2.0, 1.0], np.float32)
    assert mmr(scores, np.zeros((3, 4), np.float32), 0.5, 3).tolist() == [0, 1, 2]


# Slates under all kinds of rules.

N_GENRES = 4


@dataclass(frozen=True)
class Case:
    """A random call of `compose`."""

    scores: Floats
    all_vectors: Floats
    count: int
    composition: Composition
    groups: Groups
    target: Floats | None
    fixed: dict[int, int]

    def vectors(self, positions: NDArray[np.int32]) -> Floats:
        return self.all_vectors[positions]

    def compose(self) -> Composed:
        return compose(
            self.scores,
            self.vectors,
            self.count,
            self.composition,
            groups=self.groups,
            target=self.target,
            fixed=self.fixed,
        )


@st.composite
def cases(
    draw: st.DrawFn, *, capped: bool = True, windowed: bool = True, methods: Sequence[str] = METHODS
) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    n, count = draw(st.integers(0, 90)), draw(st.integers(1, 20))
    scores = np.sort(rng.normal(size=n).astype(np.float32))[::-1]
    creators = np.zeros((n, 6), np.bool_)
    creators[np.arange(n), rng.integers(0, 6, n)] = True
    members = np.concatenate([rng.random((n, N_GENRES)) < 0.4, creators], axis=1)
    unlimited = rng.random(members.shape[1]) < 0.5
    caps = np.where(unlimited, UNLIMITED, rng.integers(0, 6, members.shape[1]))
    window = st.builds(Window, st.integers(1, 3), st.integers(1, 6))
    windows = ((slice(0, N_GENRES), draw(window)), (slice(N_GENRES, None), draw(window)))
    n_fixed = draw(st.integers(0, min(3, n, count)))
    places = rng.choice(count, n_fixed, replace=False).tolist()
    fixed = dict(zip(places, rng.choice(n, n_fixed, replace=False).tolist(), strict=True))
    method = draw(st.sampled_from(methods))
    calibration = draw(st.sampled_from([0.0, 0.4])) if len(methods) > 1 else 0.0
    return Case(
        scores,
        rng.normal(size=(n, 5)).astype(np.float32),
        count,
        Composition(method, draw(st.sampled_from([0.0, 0.05, 0.5, 1.0])), calibration),
        Groups(members, caps if capped else None, windows if windowed else ()),
        genre_mix(rng.random((9, N_GENRES)) < 0.4),
        fixed,
    )


def within_caps(groups: Groups, held: Sequence[int]) -> NDArray[np.bool_]:
    """(n,) candidates that may be added to those held."""
    open_to = np.ones(len(groups.members), np.bool_)
    open_to[held] = False
    if groups.caps is not None:
        full = groups.members[held].sum(axis=0) >= groups.caps
        open_to &= ~groups.members[:, full].any(axis=1)
    return open_to


def broken_windows(groups: Groups, slate: Mapping[int, int]) -> int:
    """Windows of all groups that hold too many, of a slate by places."""
    broken = 0
    for columns, window in groups.windows:
        held = np.zeros((max(slate, default=0) + 1, len(groups.members[0][columns])), int)
        for place, position in slate.items():
            held[place] = groups.members[position, columns]
        for start in range(1 - window.within, len(held)):
            part = held[max(start, 0) : start + window.within]
            broken += int((part.sum(axis=0) > window.most).sum())
    return broken


@given(cases())
def test_a_slate_has_distinct_candidates_and_fixed_ones_in_their_places(case: Case) -> None:
    slate = case.compose().positions.tolist()
    assert len(set(slate)) == len(slate) <= min(case.count, len(case.scores))
    assert set(case.fixed.values()) <= set(slate)
    for place, position in case.fixed.items():
        if len(slate) == case.count or place < len(slate) - len(case.fixed):
            assert slate[place] == position


@given(cases())
def test_no_cap_is_exceeded_but_by_fixed_candidates(case: Case) -> None:
    slate = case.compose().positions
    assert case.groups.caps is not None
    fixed = case.groups.members[list(case.fixed.values())].sum(axis=0)
    held = case.groups.members[slate].sum(axis=0)
    assert (held <= np.maximum(case.groups.caps, fixed)).all()


@given(cases())
def test_a_slate_is_short_only_when_caps_leave_nothing(case: Case) -> None:
    slate = case.compose().positions.tolist()
    if len(slate) < case.count:
        assert not within_caps(case.groups, slate).any()


@given(cases(capped=False))
def test_without_caps_a_slate_is_full_and_nothing_is_dropped(case: Case) -> None:
    composed = case.compose()
    assert len(composed.positions) == min(case.count, len(case.scores))
    assert not len(composed.dropped)


@given(cases())
def test_windows_are_kept_unless_said(case: Case) -> None:
    composed = case.compose()
    if len(composed.positions):
        broken = broken_windows(case.groups, dict(enumerate(composed.positions.tolist())))
        assert bool(broken) == bool(len(composed.relaxed))


@given(cases(methods=["none"]))
def test_without_diversity_each_place_takes_the_best_that_the_rules_allow(case: Case) -> None:
    composed = case.compose()
    slate = dict(case.fixed)
    for place, chosen in enumerate(composed.positions.tolist()):
        if place in case.fixed and slate[place] == chosen:
            continue
        open_to = np.flatnonzero(within_caps(case.groups, list(slate.values()))).tolist()
        if not open_to:  # what is left are fixed candidates of later places
            assert set(composed.positions[place:].tolist()) <= set(case.fixed.values())
            break
        before = broken_windows(case.groups, slate)
        keeping = (
            other
            for other in open_to
            if broken_windows(case.groups, {**slate, place: other}) == before
        )
        assert chosen == next(keeping, open_to[0])
        slate[place] = chosen


@given(cases(windowed=False, methods=["none"]))
def test_what_caps_keep_out_is_said(case: Case) -> None:
    composed = case.compose()
    slate = composed.positions.tolist()
    short = len(slate) < min(case.count, len(case.scores))
    last = max(set(slate) - set(case.fixed.values()), default=-1)
    outranking = range(len(case.scores) if short else last)
    assert composed.dropped.tolist() == [each for each in outranking if each not in slate]


@given(st.integers(2, 30), st.sampled_from([0.02, 0.3, 0.8, 1.0]), st.integers(0, 10_000))
def test_each_determinantal_choice_is_the_best_by_explicit_determinants(
    n: int, weight: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = np.sort(rng.normal(size=n).astype(np.float32))[::-1]
    vectors = rng.normal(size=(n, 20)).astype(np.float32)
    found = compose(scores, lambda at: vectors[at], 8, Composition("dpp", weight)).positions
    gain = log_determinant_gain(unit_relevance(scores), vectors, weight)
    for place, chosen in enumerate(found.tolist()):
        taken = found[:place].tolist()
        gains = {other: gain(taken, other) for other in range(n) if other not in taken}
        assert gains[chosen] >= max(gains.values()) - 1e-4


def test_where_no_volume_is_left_relevance_decides() -> None:
    scores = np.array([5, 4, 3, 2, 1, 0], np.float32)
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    found = compose(scores, lambda at: vectors[at], 6, Composition("dpp", 0.3)).positions
    assert found.tolist() == [0, 3, 1, 2, 4, 5]


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_a_fixed_candidate_from_beyond_the_pool_keeps_its_likes_away(method: str) -> None:
    scores = np.linspace(1, 0, 60, dtype=np.float32)
    vectors = np.tile(np.array([0, 1], np.float32), (60, 1))
    vectors[[0, 59]] = [1, 0]
    composition = Composition(method, 0.5)
    found = compose(scores, lambda at: vectors[at], 2, composition, fixed={1: 59}).positions
    assert found.tolist() == [1, 59]


@pytest.mark.parametrize("method", METHODS)
def test_scores_that_are_not_numbers_sink(method: str) -> None:
    scores = np.array([np.inf, 2, 1, -np.inf, np.nan], np.float32)
    vectors = np.eye(5, dtype=np.float32)
    groups = Groups(np.ones((5, 1), np.bool_))
    composition = Composition(method, 0.1)
    found = compose(scores, lambda at: vectors[at], 5, composition, groups=groups).positions
    assert found.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_more_weight_makes_slates_no_less_diverse_on_average(method: str) -> None:
    rng = np.random.default_rng(0)
    distances = []
    worlds = [
        (
            np.sort(rng.normal(size=80).astype(np.float32))[::-1],
            (rng.normal(size=(80, 16)) + 0.5).astype(np.float32),
        )
        for _ in range(40)
    ]
    for weight in (0.0, 0.05, 0.2, 0.5, 1.0):
        total = 0.0
        for scores, vectors in worlds:
            composition = Composition(method, weight)
            slate = compose(scores, vectors.__getitem__, 10, composition).positions[None]
            total += intra_list_distance(slate, vectors) or 0.0
        distances.append(total / len(worlds))
    assert distances == sorted(distances)
    assert distances[-1] > 1.2 * distances[0]


def test_vectors_are_asked_for_only_where_they_matter() -> None:
    def none(_positions: NDArray[np.int32]) -> Floats:
        raise AssertionError

    scores = np.array([2, 1, 0], np.float32)
    groups = Groups(np.ones((3, 1), np.bool_), np.array([2]))
    assert compose(scores, none, 3, Composition()).positions.tolist() == [0, 1, 2]
    assert compose(scores, none, 3, Composition(), groups=groups).dropped.tolist() == [2]
    assert compose(scores, none, 3, Composition("mmr"), fixed={0: 2}).positions.tolist() == [
        2,
        0,
        1,
    ]


@pytest.mark.parametrize("fixed", [{3: 0}, {-1: 0}, {0: 3}, {0: -1}, {0: 1, 1: 1}])
def test_fixed_candidates_must_be_there_once_and_in_the_slate(fixed: dict[int, int]) -> None:
    with pytest.raises(ValueError):
        compose(np.ones(3, np.float32), np.eye(3).__getitem__, 3, Composition(), fixed=fixed)


def test_a_composition_is_of_a_known_method_and_weights_within_bounds() -> None:
    for wrong in ({"method": "xquad"}, {"weight": 1.5}, {"calibration": -0.1}):
        with pytest.raises(ValueError):
            Composition(**wrong)
    for most, within in ((0, 3), (1, 0)):
        with pytest.raises(ValueError):
            Window(most, within)
    with pytest.raises(ValueError):
        Groups(np.ones((3, 2), np.bool_), np.array([1]))
