import time

from services.common.deadlines import Budget, deadline_in


def test_a_budget_shrinks_and_never_goes_below_zero() -> None:
    budget = Budget(time.monotonic() - 1)
    assert budget.left() == 0
    assert budget.share(0.5) == 0


def test_a_share_is_capped() -> None:
    assert Budget.of(100).share(0.5, at_most=2.0) == 2.0
    assert 40 < Budget.of(100).share(0.5) <= 50


def test_the_callers_deadline_wins_over_the_default() -> None:
    with deadline_in(0.5):
        assert Budget.current(default=60).left() <= 0.5
    assert Budget.current(default=60).left() > 59
