"""What was on the rise: counted again from the event log, against what was logged."""

import math
from collections.abc import Sequence

import numpy as np

from models.trending import LATE_SECONDS
from services.features.past import PastLog, Span
from training.skew.differences import WEIGHT_TOLERANCE, weights_apart
from training.skew.features import Known
from training.skew.findings import Parity
from training.skew.logged import Asked
from training.skew.past_trends import PastTrends, half_life

TREND_LAG_SECONDS = 5.0
"""By which the trend that a request read may be behind the log."""

_MOST_STATES = 100  # of the log that the trend of one request is compared with, the newest
_SMOOTHING = 5.0  # events, as in shares of a trend


def compare_trends(past: PastLog, hydrated: Sequence[tuple[Asked, Known]], found: Parity) -> None:
    """Sweeps the log once, and keeps of each request the state that is nearest to what it read."""
    moments = _states(past, [asked.span for asked, _ in hydrated])
    wanted = sorted(
        (moment, at) for at, each in enumerate(moments) for moment in each[-_MOST_STATES:]
    )
    best = [(math.inf, math.inf)] * len(hydrated)
    slack = [(WEIGHT_TOLERANCE, WEIGHT_TOLERANCE)] * len(hydrated)
    until = wanted[-1][0] if wanted else -math.inf
    trends, removed = PastTrends(past.blocks(by_arrival=True, until=until)), past.removed()
    for moment, at in wanted:
        if best[at] == (0.0, 0.0):
            continue
        asked, known = hydrated[at]
        trends.count_to(moment)
        apart = _trend_apart(trends, asked, known)
        # Each list on its own: the service may have made one of them a little earlier.
        best[at] = min(apart[0], best[at][0]), min(apart[1], best[at][1])
        slack[at] = _trend_slack(trends, asked, known, removed)
    for (asked, _), each, apart, most in zip(hydrated, moments, best, slack, strict=True):
        beyond = apart[0] > most[0] or apart[1] > most[1]
        if beyond and len(each) > _MOST_STATES:  # it may have read one that was not tried
            found.skipped["trend: moved too fast"] += 1
            continue
        found.features["trend"].add(asked.row.request_id, apart[0], most[0])
        found.features["trend_here"].add(asked.row.request_id, apart[1], most[1])


def _trend_slack(
    trends: PastTrends, asked: Asked, known: Known, removed: int
) -> tuple[float, float]:
    """By how much shares may be off, everywhere and here: each event that is gone counts one at
    most."""
    days, region = half_life(asked.query.release), known.user.region
    totals = [trends.counters.total(days, each) for each in ("", region)] if days else [0.0, 0.0]
    everywhere, here = (
        WEIGHT_TOLERANCE + min(1.0, removed / (total + _SMOOTHING)) for total in totals
    )
    return everywhere, here


def _states(past: PastLog, spans: Sequence[Span]) -> list[list[float]]:
    """Of each request, the moments whose trend it may have read, ascending."""
    if not spans:
        return []
    begins = np.array([span.begin for span in spans]) - TREND_LAG_SECONDS
    ends = np.array([span.end for span in spans])
    changes = np.array(past.changes(Span(float(begins.min()), float(ends.max()))), np.float64)
    first, last = (np.searchsorted(changes, side, side="right") for side in (begins, ends))
    return [
        [begin, *changes[start:end].tolist()]
        for begin, start, end in zip(begins.tolist(), first.tolist(), last.tolist(), strict=True)
    ]


def _trend_apart(trends: PastTrends, asked: Asked, known: Known) -> tuple[float, float]:
    days, features, as_of = half_life(asked.query.release), known.features, asked.query.as_of
    told = not as_of or as_of >= asked.span.end - LATE_SECONDS or trends.counters.knows(as_of)
    if days and told:
        features = trends.laid_over(features, days, known.user.region)
    around = trends.rows(asked.query, features)
    logged = asked.logged.around
    return (
        weights_apart(around.trend, logged.trend),
        weights_apart(around.trend_here, logged.trend_here),
    )
