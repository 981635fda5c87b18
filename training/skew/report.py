"""Skew and drift of the last logged requests, as one document."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from models.history import UserHistory
from models.release import Release, ReleaseError
from training.skew.drift import Drift, drift_of
from training.skew.findings import SCORE_TOLERANCE, Parity
from training.skew.parity import parity


def measure(engine: Engine, releases: Path, requests: int) -> tuple[Parity, list[Drift]]:
    """Looks at the last logged requests.

    Args:
        engine: database of all logs; is only read.
        releases: folder of releases.
        requests: how many at most; as many moments of the log stand for training.

    Returns:
        What was compared, and how far that has drifted, by release and feature.
    """
    found = parity(engine, releases, requests)
    served: dict[str, tuple[Release, list[UserHistory]]] = {}
    for asked in found.asked:
        release = asked.query.release
        served.setdefault(release.release_id, (release, []))[1].append(asked.logged)
    drift = list[Drift]()
    for release, users in served.values():
        drift += _drift(engine, release, users, requests)
    return found, drift


def report(found: Parity, drift: Sequence[Drift]) -> dict[str, Any]:
    """The document that `tandem skew --json` prints."""
    return {
        "requests": found.requests,
        "compared": len(found.asked),
        "skipped": dict(found.skipped),
        "features": [asdict(each) for each in found.features.values()],
        "scores": [asdict(each) for each in found.scores.values()],
        "score_tolerance": SCORE_TOLERANCE,
        "drift": [asdict(each) for each in drift],
        "fault": found.fault(),
    }


def _drift(
    engine: Engine, release: Release, users: Sequence[UserHistory], sample: int
) -> list[Drift]:
    """None of a release that cannot score, whose skipped requests say so already."""
    try:
        return drift_of(engine, release, users, sample)
    except ReleaseError:
        return []
