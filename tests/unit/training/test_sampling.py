import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.training.logs import sequences
from training.sampling import mixed_distribution


@given(st.lists(st.lists(st.integers(0, 50), max_size=20), min_size=1, max_size=8))
def test_every_item_with_an_event_has_a_chance_and_they_sum_to_one(users: list[list[int]]) -> None:
    rows, chances = mixed_distribution(sequences(*users))
    assert rows.tolist() == sorted({row for user in users for row in user})
    if len(rows):
        assert chances.sum() == pytest.approx(1)
        assert (chances >= 0.5 / len(rows) - 1e-12).all()


def test_half_of_the_chance_is_equal_and_half_goes_by_the_root_of_popularity() -> None:
    rows, chances = mixed_distribution(sequences([7] * 4 + [2]))
    assert rows.tolist() == [2, 7]
    np.testing.assert_allclose(chances, [0.25 + 0.5 / 3, 0.25 + 0.5 * 2 / 3])
