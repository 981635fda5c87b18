"""Every number of a session against a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.events import NEGATIVE, EventKind
from models.session import (
    COLUMNS,
    GAP_SECONDS,
    SESSION_LENGTH,
    TASTE_HALF_LIFE_SECONDS,
    WINDOWS,
    SessionFeatures,
    session_features,
    taste_decay,
    taste_vector,
)

Events = list[tuple[int, int, float]]  # kind, seconds since the event before, value; newest first

events = st.lists(
    st.tuples(
        st.sampled_from([int(kind) for kind in EventKind]),
        st.sampled_from([0, 1, 599, 600, 601, 1_800, 1_801, 21_600, 86_400, 604_800]),
        st.sampled_from([0.0, 0.5, 2.25]),
    ),
    max_size=12,
)


def features_of(users: list[Events]) -> SessionFeatures:
    shape = (len(users), SESSION_LENGTH)
    kinds, ages, values = np.zeros(shape, np.int8), np.zeros(shape), np.zeros(shape)
    for row, user in enumerate(users):
        for column, (kind, _, value) in enumerate(user):
            kinds[row, column], values[row, column] = kind, value
            ages[row, column] = sum(pause for _, pause, _ in user[: column + 1])
    return session_features(kinds, ages.astype(np.float32), values.astype(np.float32))


def column(name: str) -> int:
    return COLUMNS.index(name)


@given(st.lists(events, min_size=1, max_size=4))
def test_counts_hours_and_length_are_those_of_a_plain_loop(users: list[Events]) -> None:
    found = features_of(users)
    for row, user in enumerate(users):
        ages = np.cumsum([pause for _, pause, _ in user]).tolist()
        for window, span in enumerate(WINDOWS.values()):
            inside = [event for event, age in zip(user, ages, strict=True) if age < span]
            for kind in EventKind:
                expected = sum(event[0] == kind for event in inside)
                assert found.counts[row, window, kind - 1] == expected
            hours = sum(value for kind, _, value in inside if kind == EventKind.WATCH)
            assert found.hours[row, window] == hours
        length = 0
        for (_, pause, _), age in zip(user, ages, strict=True):
            if pause > GAP_SECONDS:
                break
            length = age
        assert found.length[row] == length


def test_columns_are_named_in_their_order() -> None:
    user: Events = [(EventKind.WATCH, 60, 3.0), (EventKind.LIKE, 900, 0.0)]
    [columns] = features_of([user]).columns
    assert len(columns) == len(COLUMNS) == len(set(COLUMNS))
    named = {name: float(columns[column(name)]) for name in COLUMNS if columns[column(name)]}
    expected = {
        "log_watch_last_minutes": np.log(2),
        "log_watch_last_hours": np.log(2),
        "log_watch_last_days": np.log(2),
        "log_like_last_hours": np.log(2),
        "log_like_last_days": np.log(2),
        "log_hours_watched_last_minutes": np.log(4),
        "log_hours_watched_last_hours": np.log(4),
        "log_hours_watched_last_days": np.log(4),
        "log_session_minutes": np.log(1 + 16),
    }
    assert named == pytest.approx(expected, rel=1e-6)


def test_a_user_without_events_has_zeros_everywhere() -> None:
    assert not features_of([[]]).columns.any()


def test_taste_weights_halve_with_the_half_life_and_sum_to_one() -> None:
    ages = np.array([5.0, 5.0 + TASTE_HALF_LIFE_SECONDS, 5.0 + 2 * TASTE_HALF_LIFE_SECONDS])
    weights = taste_decay(ages.astype(np.float32))
    np.testing.assert_allclose(weights, np.array([4, 2, 1]) / 7, rtol=1e-6)
    assert taste_decay(np.empty(0, np.float32)).shape == (0,)


def test_taste_does_not_fade_while_the_user_is_away() -> None:
    ages = np.array([0.0, 3_600.0, 40_000.0], np.float32)
    away = ages + np.float32(30 * 86_400)
    np.testing.assert_allclose(taste_decay(ages), taste_decay(away), rtol=1e-5)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(list(EventKind))), max_size=20))
def test_the_taste_vector_is_that_of_a_plain_loop(history: list[tuple[str, EventKind]]) -> None:
    items = [item for item, _ in history]
    kinds: NDArray[np.int8] = np.array([kind for _, kind in history], np.int8)
    ages = 7_000.0 * np.arange(len(history))[::-1].astype(np.float32)
    positive = [at for at, (_, kind) in enumerate(history) if kind not in NEGATIVE]
    taste = [
        at
        for at, after in zip(positive, [*positive[1:], None], strict=False)
        if after is None or items[after] != items[at]
    ]
    raw = {at: 2.0 ** (-float(ages[at]) / TASTE_HALF_LIFE_SECONDS) for at in taste}
    expected: dict[str, float] = {}
    for at, weight in raw.items():
        expected[items[at]] = expected.get(items[at], 0.0) + weight / sum(raw.values())
    found, weights = taste_vector(items, kinds, ages)
    assert dict(zip(found, weights.tolist(), strict=True)) == pytest.approx(expected, rel=1e-5)
    assert weights.tolist() == sorted(weights.tolist(), reverse=True)
