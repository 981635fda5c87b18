"""Held-out events, against a walk through every user's log."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events import NEGATIVE, EventKind
from tests.unit.training.logs import Event, sequences
from training.splits import Queries, before, last_new_events

events = st.tuples(
    st.integers(0, 6),
    st.sampled_from([EventKind.CLICK, EventKind.VIEW, EventKind.DISLIKE, EventKind.HIDE]),
    st.just(0.0),
)
logs = st.lists(st.lists(events, max_size=12), min_size=1, max_size=5)


def last_new_places(user: list[Event], each: int) -> list[int]:
    """Places of one user's events to predict, by definition."""
    rows = [row for row, _, _ in user]
    new = [
        at
        for at, (row, kind, _) in enumerate(user)
        if row not in rows[:at] and kind not in NEGATIVE
    ]
    count = max(min(each, len(new) // 2), 1)
    return [at for at in new[-count:] if at > 0]


@given(logs, st.integers(1, 5))
def test_the_last_new_items_of_each_user_are_held_out(users: list[list[Event]], each: int) -> None:
    log = sequences(*users)
    queries = last_new_events(log, each=each)
    expected = [
        begin + at
        for begin, user in zip(log.offsets, users, strict=False)
        for at in last_new_places(user, each)
    ]
    assert queries.positions.tolist() == expected
    for at in range(len(queries)):
        assert queries.targets[at] not in queries.seen(at)


@given(logs, st.integers(1, 5), st.integers(0, 3))
def test_training_ends_before_each_users_first_held_out_event(
    users: list[list[Event]], each: int, seed: int
) -> None:
    log = sequences(*users)
    queries = last_new_events(log, at_most=4, seed=seed, each=each)
    assert len(queries) == min(4, len(last_new_events(log, each=each)))
    known = before(queries)
    assert known.n_users == log.n_users
    for user in range(log.n_users):
        own = slice(log.offsets[user], log.offsets[user + 1])
        asked = queries.positions[queries.users == user]
        end = int(asked.min()) if len(asked) else own.stop
        kept = known.rows[known.offsets[user] : known.offsets[user + 1]]
        assert kept.tolist() == log.rows[own.start : end].tolist()


@pytest.mark.parametrize(
    ("each", "held_out"), [(1, [5]), (2, [4, 5]), (3, [3, 4, 5]), (9, [3, 4, 5])]
)
def test_never_more_than_half_of_what_was_new_is_held_out(each: int, held_out: list[int]) -> None:
    queries = last_new_events(sequences([0, 1, 2, 3, 4, 5]), each=each)
    assert queries.targets.tolist() == held_out
    assert before(queries).rows.tolist() == list(range(held_out[0]))


def test_events_between_two_held_out_ones_are_known_to_the_later_query() -> None:
    queries = last_new_events(sequences([0, 1, 2, 1, 3]), each=2)
    assert queries.targets.tolist() == [2, 3]
    assert [queries.seen(at).tolist() for at in (0, 1)] == [[0, 1], [0, 1, 2, 1]]


def test_a_draw_of_queries_is_that_of_its_seed() -> None:
    log = sequences(*[[0, 1, 2]] * 50)
    first, same, other = (last_new_events(log, 10, seed).positions for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert first.tolist() != other.tolist()
    assert (np.diff(first) > 0).all()


def test_an_event_counts_though_its_item_comes_again_after_the_end() -> None:
    log = sequences([0, 1, 1, 2], [3, 3])
    ends = np.array([2, 5])
    found = Queries(log, np.array([3, 5]), ends).histories(3)
    assert found.rows.tolist() == [[1, 0, -1], [3, -1, -1]]
    assert found.ages[0].tolist() == [60, 120, 0]
    # The same history as in a log that ends there.
    shorter = Queries.after_all(sequences([0, 1], [3]), np.array([0, 1]), 1e9).histories(3)
    assert found.rows.tolist() == shorter.rows.tolist()
