"""One comparison of serving with training, kept for metrics."""

import time
from pathlib import Path
from typing import Any

from services.common.database import open_database
from services.common.skew_runs import ComparedFeature, DriftedFeature, SkewRun, SkewRuns
from training.skew.drift import Drift
from training.skew.findings import Parity
from training.skew.report import measure, report

REQUESTS = 1_000
"""Logged requests that are looked at, unless told otherwise."""


def check(database_url: str, releases: Path, requests: int) -> tuple[Parity, dict[str, Any]]:
    """Looks at the last logged requests, and stores what came out for the orchestrator's metrics.

    Args:
        database_url: of all logs.
        releases: folder of releases.
        requests: how many at most; as many moments of the log stand for training.

    Returns:
        What was compared, and the document that `tandem skew --json` prints.
    """
    engine = open_database(database_url)
    try:
        began = time.time()
        found, drift = measure(engine, releases, requests)
        SkewRuns(engine).add(_run(began, found, drift))
        return found, report(found, drift)
    finally:
        engine.dispose()


def _run(checked_at: float, found: Parity, drift: list[Drift]) -> SkewRun:
    return SkewRun(
        checked_at,
        found.requests,
        max(each.compared for each in found.features.values()),
        tuple(
            ComparedFeature(each.name, each.differing, each.largest)
            for each in found.features.values()
        ),
        {each.release_id: each.largest for each in found.scores.values()},
        tuple(
            DriftedFeature(each.release_id, each.feature, each.psi, each.drifted) for each in drift
        ),
    )
