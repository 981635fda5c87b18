from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.training.logs import sequences
from training.protocols import PROTOCOLS, Fold, leave_last_out, stream, temporal
from training.sequences import EventSequences


def timed(*users: list[tuple[int, float]]) -> EventSequences:
    """A log from each user's (item, time), oldest first."""
    log = sequences(*[[item for item, _ in user] for user in users])
    return replace(log, times=np.array([time for user in users for _, time in user], np.float64))


def asked(fold: Fold) -> list[tuple[int, int, float, list[int]]]:
    """User, target, moment and known items of each query."""
    queries = fold.queries
    return [
        (int(user), int(target), float(time), queries.seen(at).tolist())
        for at, (user, target, time) in enumerate(
            zip(queries.users, queries.targets, queries.times, strict=True)
        )
    ]


# Twenty events, a second apart: the last two are after the 90 % quantile.
LONG = [(item % 7, float(item)) for item in range(16)]


def test_the_last_event_is_the_test_and_the_one_before_is_validation() -> None:
    split = leave_last_out(sequences([0, 1, 2], [1, 3], [2, 0, 3, 1]))
    test, validation = split.test, split.validation
    assert test.queries.targets.tolist() == [2, 1]
    assert test.train.rows.tolist() == [0, 1, 1, 3, 2, 0, 3]
    assert validation.queries.targets.tolist() == [1, 3]
    assert validation.train.rows.tolist() == [0, 1, 3, 2, 0]


def test_the_stream_asks_for_every_late_event_with_all_that_came_before() -> None:
    log = timed(LONG, [(9, 16.0), (8, 18.0)], [(9, 17.0), (8, 19.0)])
    fold = stream(log).test
    assert asked(fold) == [(1, 8, 18.0, [9]), (2, 8, 19.0, [9])]
    assert fold.train.times.max() == 17


def test_the_stream_counts_users_without_any_earlier_event() -> None:
    fold = stream(timed([*LONG, (8, 16.0), (8, 17.0)], [(9, 18.0), (9, 19.0)])).test
    assert asked(fold) == [(1, 9, 18.0, []), (1, 9, 19.0, [9])]


def test_frozen_histories_ask_one_question_a_user_at_one_moment() -> None:
    fold = temporal(timed(LONG, [(9, 16.0), (8, 17.0), (7, 18.0), (6, 19.0)])).test
    assert asked(fold) == [(1, 7, 18.0, [9, 8]), (1, 6, 18.0, [9, 8])]
    questions, of = fold.queries.questions()
    assert len(questions) == 1
    assert of.tolist() == [0, 0]


def test_frozen_histories_leave_new_users_and_known_or_repeated_targets_out() -> None:
    log = timed(
        [(item % 7, float(item)) for item in range(34)] + [(30, 35.0)],
        [(8, 34.0), (8, 36.0), (9, 37.0), (9, 38.0)],
        [(9, 39.0)],
    )
    fold = temporal(log).test
    assert asked(fold) == [(1, 9, 36.0, [8])]


def test_events_of_one_second_are_never_torn_apart() -> None:
    log = timed([(item, float(min(item, 15))) for item in range(18)], [(9, 16.0), (8, 17.0)])
    assert stream(log).test.train.times.tolist() == [*range(15), 15, 15, 15]
    assert [time for *_, time, _ in asked(stream(log).test)] == [16, 17]


USERS = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), max_size=12), min_size=1, max_size=6
)


@given(USERS, st.sampled_from(sorted(PROTOCOLS)))
def test_no_fold_knows_what_it_is_asked_for(
    users: list[list[tuple[int, int]]], protocol: str
) -> None:
    log = timed(*[sorted(((i, float(t)) for i, t in user), key=lambda e: e[1]) for user in users])
    split = PROTOCOLS[protocol](log)
    for fold in (split.validation, split.test):
        queries = fold.queries
        assert (queries.ends <= queries.positions).all()
        assert (queries.ends >= queries.log.offsets[queries.users]).all()
        assert len(fold.train) + len(queries) <= len(log)
        if protocol != "leave-last-out" and len(queries):
            assert fold.train.times.max(initial=-1) < queries.times.min()
    assert len(split.validation.train) + len(split.validation.queries) <= len(split.test.train)


@given(USERS)
def test_what_is_known_is_what_each_query_has_seen(users: list[list[tuple[int, int]]]) -> None:
    log = timed(*[sorted(((i, float(t)) for i, t in user), key=lambda e: e[1]) for user in users])
    queries = stream(log).test.queries
    query, rows = queries.known()
    for at in range(len(queries)):
        assert rows[query == at].tolist() == queries.seen(at).tolist()
        assert queries.known_events[at] == len(queries.seen(at))
