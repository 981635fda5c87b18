"""What the models read of a user survives the way between services."""

import numpy as np

from models.history import Surroundings, UserHistory, WeightedRows
from services.common.model_input import decode_user, encode_user


def weighted(*rows: int) -> WeightedRows:
    return WeightedRows(np.array(rows, np.int32), np.linspace(1, 0.5, len(rows), dtype=np.float32))


def test_a_user_is_decoded_as_it_was_encoded() -> None:
    user = UserHistory(
        rows=np.array([3, 1], np.int32),
        kinds=np.array([2, 9], np.int8),
        ages=np.array([60.5, 0], np.float32),
        values=np.array([0, 1.5], np.float32),
        time=1e9,
        region="north",
        device="tv",
        factors=np.array([0.5, -1], np.float32),
        around=Surroundings(weighted(4), weighted(5, 6), weighted(7, 8, 9)),
    )
    found = decode_user(encode_user(user))
    for name in ("rows", "kinds", "ages", "values", "factors"):
        np.testing.assert_array_equal(getattr(found, name), getattr(user, name))
    assert (found.time, found.region, found.device) == (1e9, "north", "tv")
    for name in ("friends", "trend", "trend_here"):
        back, sent = getattr(found.around, name), getattr(user.around, name)
        np.testing.assert_array_equal(back.rows, sent.rows)
        np.testing.assert_array_equal(back.weights, sent.weights)
