"""Times of messages, as numbers."""

import math

from google.protobuf.timestamp_pb2 import Timestamp


def unix_seconds(stamp: Timestamp) -> float:
    """Unix seconds; NaN when the nanoseconds are not those of one second."""
    return stamp.seconds + stamp.nanos / 1e9 if 0 <= stamp.nanos < 1e9 else math.nan
