"""`UserHistory` to and from the message that carries it between services."""

import numpy as np

from models.history import Surroundings, UserHistory, WeightedRows
from tandem.model.v1 import model_pb2


def encode_user(user: UserHistory) -> model_pb2.UserInput:
    return model_pb2.UserInput(
        history_rows=user.rows.tolist(),
        history_kinds=user.kinds.tolist(),
        history_ages=user.ages.tolist(),
        history_values=user.values.tolist(),
        request_time=user.time,
        region=user.region,
        device=user.device,
        factors=user.factors.tolist(),
        friends=encode_weighted_rows(user.around.friends),
        trend=encode_weighted_rows(user.around.trend),
        trend_here=encode_weighted_rows(user.around.trend_here),
    )


def decode_user(message: model_pb2.UserInput) -> UserHistory:
    """Raises `ValueError` when the parallel arrays differ in length."""
    return UserHistory(
        rows=np.array(message.history_rows, dtype=np.int32),
        kinds=np.array(message.history_kinds, dtype=np.int8),
        ages=np.array(message.history_ages, dtype=np.float32),
        values=np.array(message.history_values, dtype=np.float32),
        time=message.request_time,
        region=message.region,
        device=message.device,
        factors=np.array(message.factors, dtype=np.float32),
        around=Surroundings(
            friends=decode_weighted_rows(message.friends),
            trend=decode_weighted_rows(message.trend),
            trend_here=decode_weighted_rows(message.trend_here),
        ),
    )


def encode_weighted_rows(weighted: WeightedRows) -> model_pb2.WeightedRows:
    return model_pb2.WeightedRows(rows=weighted.rows.tolist(), weights=weighted.weights.tolist())


def decode_weighted_rows(message: model_pb2.WeightedRows) -> WeightedRows:
    return WeightedRows(
        np.array(message.rows, dtype=np.int32), np.array(message.weights, dtype=np.float32)
    )
