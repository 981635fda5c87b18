import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.head import CLICK, MAX_UTILITY, OBJECTIVES, UTILITY, Head, ObjectiveError, pieces

finite = st.floats(-1e4, 1e4, width=32)


@st.composite
def heads(draw: st.DrawFn) -> Head:
    k = draw(st.integers(2, 6))
    step = st.floats(0.01, 20)

    def rising() -> tuple[float, ...]:
        steps = draw(st.lists(step, min_size=k - 1, max_size=k - 1))
        start = draw(st.floats(-50, 50))
        return tuple(np.cumsum([start, *steps]).tolist())

    return Head(draw(st.sampled_from(OBJECTIVES)), rising(), rising())


@given(heads(), st.lists(finite, min_size=1, max_size=40))
def test_predictions_keep_the_order_of_scores_and_stay_in_range(
    head: Head, scores: list[float]
) -> None:
    ordered = np.sort(np.array(scores, np.float32))
    predictions = head.predict(ordered)
    assert predictions.dtype == np.float32
    assert (np.diff(predictions) >= 0).all()
    assert predictions.min() >= 0
    assert predictions.max() <= (1 if head.objective == CLICK else MAX_UTILITY)


@given(heads())
def test_the_line_goes_through_its_knots(head: Head) -> None:
    found = head.predict(np.array(head.knots, np.float32))
    line = np.array(head.values)
    limits = 1 / (1 + np.exp(-line)) if head.objective == CLICK else np.clip(line, 0, MAX_UTILITY)
    np.testing.assert_allclose(found, limits, rtol=1e-2, atol=1e-2)


def test_beyond_its_ends_the_line_goes_on_as_its_outer_pieces_do() -> None:
    head = Head(UTILITY, (0.0, 1.0, 3.0), (4.0, 5.0, 9.0))
    scores = np.array([-2, 0.5, 2, 4, 1e6, -1e6], np.float32)
    assert head.predict(scores).tolist() == [2, 4.5, 7, 11, 15, 0]


def test_a_click_is_the_sigmoid_of_the_line() -> None:
    head = Head(CLICK, (-1.0, 1.0), (-2.0, 2.0))
    predictions = head.predict(np.array([0, 1, -1], np.float32))
    np.testing.assert_allclose(predictions, [0.5, 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))])


@given(st.lists(finite, min_size=1, max_size=20))
def test_pieces_of_a_score_sum_to_its_place_on_a_line_of_equal_knots(scores: list[float]) -> None:
    values: NDArray[np.float32] = np.array(scores, np.float32)
    done = pieces(values, (0.0, 1.0, 2.0, 3.0))
    np.testing.assert_allclose(done.sum(axis=1), values, rtol=1e-9, atol=1e-9)
    assert ((done[:, 1] >= 0) & (done[:, 1] <= 1)).all()


@pytest.mark.parametrize(
    ("knots", "values"),
    [
        ((0.0, 0.0), (0.0, 1.0)),
        ((0.0, 1.0), (1.0, 1.0)),
        ((1.0, 0.0), (0.0, 1.0)),
        ((0.0,), (0.0,)),
        ((0.0, 1.0), (0.0, 1.0, 2.0)),
        ((0.0, float("nan")), (0.0, 1.0)),
    ],
)
def test_a_line_that_does_not_rise_is_refused(
    knots: tuple[float, ...], values: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="does not rise"):
        Head(CLICK, knots, values)


def test_an_objective_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ObjectiveError, match=r"^objective: 'joy' is not one of click, utility$"):
        Head("joy", (0.0, 1.0), (0.0, 1.0))


def test_a_head_survives_the_manifest() -> None:
    head = Head(UTILITY, (0.0, 1.0), (2.0, 3.0))
    raw = {"objective": UTILITY, "knots": [0.0, 1.0], "values": [2.0, 3.0], "reliability": []}
    assert Head.from_dict(raw) == head
