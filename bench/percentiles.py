"""How figures of latency are printed."""

from collections.abc import Sequence

import numpy as np


def percentiles(millis: Sequence[float], name: str = "") -> dict[str, float]:
    """Median and 99th percentile, as `p50_ms` and `p99_ms`, after a name; none of nothing."""
    if not millis:
        return {}
    before = f"{name}_" if name else ""
    return {f"{before}p{percent}_ms": float(np.percentile(millis, percent)) for percent in (50, 99)}
