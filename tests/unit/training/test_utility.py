import pytest

from models.events import EventKind
from tests.unit.training.logs import sequences
from training.utility import UtilityWeights, composite_utility


def utility(*events: tuple[EventKind, float], weights: UtilityWeights | None = None) -> float:
    """Composite utility of one user and item."""
    log = sequences([(0, kind, value) for kind, value in events])
    return float(composite_utility(log, 1, weights)[0, 0])


def test_the_formula() -> None:
    events = [
        (EventKind.WATCH, 1.5),
        (EventKind.RATING, 4.0),
        (EventKind.LIKE, 0.0),
        (EventKind.SHARE, 0.0),
        (EventKind.COMMENT, 0.0),
    ]
    assert utility(*events) == pytest.approx(1.5 + 4 + 2 + 5 + 2)


def test_it_is_clipped_to_fifteen() -> None:
    assert utility(*[(EventKind.SHARE, 0.0)] * 5) == 15


def test_the_last_rating_counts_and_hours_add_up() -> None:
    assert utility((EventKind.RATING, 5.0), (EventKind.RATING, 2.0)) == 2
    assert utility((EventKind.WATCH, 1.0), (EventKind.WATCH, 2.0)) == 3


def test_a_dislike_or_hide_leaves_nothing() -> None:
    assert utility((EventKind.SHARE, 0.0), (EventKind.DISLIKE, 0.0)) == 0
    assert utility((EventKind.HIDE, 0.0), (EventKind.LIKE, 0.0)) == 0


def test_weights_are_configuration() -> None:
    weights = UtilityWeights(click=3.0, like=0.0)
    assert utility((EventKind.CLICK, 0.0), weights=weights) == 3
    assert utility((EventKind.LIKE, 0.0), weights=weights) == 0


def test_users_and_items_are_kept_apart() -> None:
    log = sequences([(0, EventKind.LIKE, 0.0), (1, EventKind.SHARE, 0.0)], [(1, EventKind.HIDE, 0)])
    assert composite_utility(log, 2).toarray().tolist() == [[2, 5], [0, 0]]
