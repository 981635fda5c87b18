import numpy as np

from models.events import EventKind
from tests.unit.training.logs import sequences
from training.splits import before, last_new_events
from training.windows import Windows

HIDE = EventKind.HIDE


def test_a_window_holds_only_strictly_earlier_events_of_its_user_newest_first() -> None:
    log = sequences([0, 1, 2, 3], [4, 5])
    batch = Windows(log).batch(np.array([0, 2, 3, 4, 5]), length=2)
    assert batch.rows.tolist() == [[-1, -1], [1, 0], [2, 1], [-1, -1], [4, -1]]
    assert batch.ages.tolist() == [[0, 0], [60, 120], [60, 120], [0, 0], [60, 0]]


def test_negative_events_and_all_but_the_last_of_a_run_are_no_taste() -> None:
    log = sequences([0, 0, (1, HIDE, 0.0), 0, 2], [2, 3])
    assert log.taste_mask().tolist() == [False, False, False, True, True, True, True]


def test_the_last_new_event_is_held_out_with_all_that_follows() -> None:
    log = sequences([0, 1, 2, 1], [3], [4, 5, (6, HIDE, 0.0)])
    queries = last_new_events(log)
    assert queries.targets.tolist() == [2, 5]
    assert [queries.seen(i).tolist() for i in range(2)] == [[0, 1], [4]]
    assert before(queries).rows.tolist() == [0, 1, 3, 4]


def test_query_histories_hold_taste_before_the_target_only() -> None:
    log = sequences([(7, HIDE, 0.0), 0, 0, 1, 2, 1])
    assert last_new_events(log).histories(3).rows.tolist() == [[1, 0, -1]]
