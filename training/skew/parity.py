"""Compares the last logged requests with the event log."""

from pathlib import Path

from sqlalchemy import Engine

from services.features.past import PastLog
from training.skew.features import compare_features
from training.skew.findings import Parity
from training.skew.logged import last_requests
from training.skew.scores import compare_scores
from training.skew.trends import compare_trends


def parity(engine: Engine, releases: Path, requests: int) -> Parity:
    """Compares the last logged requests with the event log, and their scores with the release's.

    Args:
        engine: database of all logs; is only read.
        releases: folder of releases.
        requests: how many at most.
    """
    logged = last_requests(engine, releases, requests)
    found, past = Parity(logged.requests, logged.asked, logged.skipped), PastLog(engine)
    hydrated = [
        (asked, known)
        for asked in found.asked
        if (known := compare_features(past, asked, found)) is not None
    ]
    compare_trends(past, hydrated, found)
    compare_scores(found)
    return found
