import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.statistics import Bootstrap, holm


def bootstrap(*columns: list[float], users: list[int] | None = None) -> Bootstrap:
    values = np.array(columns, np.float64).T
    of = np.arange(len(values)) if users is None else np.array(users)
    return Bootstrap.of(values, of, resamples=4000)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    low, high = bootstrap(values.tolist()).interval(0)
    error = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - error, abs=0.04)
    assert high == pytest.approx(values.mean() + error, abs=0.04)


def test_a_mean_is_over_the_questions_of_the_drawn_users() -> None:
    # One user with three questions, one with one: a resample has the first twice, either once, or
    # the second twice.
    found = bootstrap([1, 1, 1, 0], users=[7, 7, 7, 9])
    assert found.observed.tolist() == [0.75]
    means, times = np.unique(found.resampled[:, 0], return_counts=True)
    assert means.tolist() == [0, 0.75, 1]
    assert times / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_many_questions_of_one_user_make_nothing_surer() -> None:
    once = bootstrap([0, 1, 0, 1, 1, 0]).interval(0)
    often = bootstrap([0, 1, 0, 1, 1, 0] * 50, users=[*range(6)] * 50).interval(0)
    assert often == once


def test_the_same_seed_gives_the_same_interval_however_many_blocks() -> None:
    values = np.random.default_rng(2).random((5000, 1))
    users = np.arange(5000)
    first = Bootstrap.of(values, users, resamples=900)
    assert (first.resampled == Bootstrap.of(values, users, resamples=900).resampled).all()
    assert not (first.resampled == Bootstrap.of(values, users, 900, seed=1).resampled).any()
    assert len(np.unique(first.resampled)) > 800


def test_a_small_but_steady_difference_is_found_where_intervals_overlap() -> None:
    base = np.random.default_rng(3).normal(0, 1, 200)
    found = bootstrap((base + 0.05).tolist(), base.tolist())
    assert found.interval(0)[0] < found.interval(1)[1]
    better = found.difference(0, 1)
    assert better.value == pytest.approx(0.05)
    assert better.low == pytest.approx(0.05) and better.high == pytest.approx(0.05)
    assert better.p == pytest.approx(2 / 4001)


def test_a_model_does_not_differ_from_itself() -> None:
    same = bootstrap([0, 1, 1, 0, 1], [0, 1, 1, 0, 1]).difference(0, 1)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_p_values_are_uniform_when_there_is_no_difference() -> None:
    random = np.random.default_rng(4)
    trials = [
        Bootstrap.of(random.normal(size=(60, 2)), np.arange(60), resamples=400, seed=trial)
        for trial in range(400)
    ]
    p = np.array([trial.difference(0, 1).p for trial in trials])
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.035)
    assert (p < 0.5).mean() == pytest.approx(0.5, abs=0.09)


def test_holm_of_a_case_done_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_correction_keeps_order_and_never_makes_surer(p: list[float]) -> None:
    corrected = np.array(holm(p))
    assert (corrected >= np.array(p)).all() and (corrected <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(corrected[order]) >= 0).all()
