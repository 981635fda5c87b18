"""A scrape shows what is known, whatever the database does."""

import threading
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text

from models.release import Release
from services.common.database import open_database
from services.common.errors import Unavailable
from services.common.skew_runs import SkewRun, SkewRuns
from services.orchestrator.collectors import ReleaseCollector, SkewCollector
from tests.contract.test_skew_runs import RUN


def scraped(collector: ReleaseCollector | SkewCollector) -> str:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(collector)
    return generate_latest(registry).decode()


def test_the_newest_run_is_shown_by_feature_and_release(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/tandem.db")
    runs = SkewRuns(engine)
    assert scraped(SkewCollector(runs.newest)) == ""
    runs.add(RUN)
    lines = scraped(SkewCollector(runs.newest)).splitlines()
    assert {
        "tandem_skew_checked_timestamp_seconds 1e+09",
        "tandem_skew_logged_requests 12.0",
        "tandem_skew_checked_requests 10.0",
        'tandem_skew_differing_requests{feature="region"} 2.0',
        'tandem_skew_max_difference{feature="region"} 1.0',
        'tandem_skew_score_max_difference{release="r1"} 1e-07',
        'tandem_drift_psi{feature="hour",release="r1"} 0.5',
        'tandem_drift_flagged{feature="hour",release="r1"} 1.0',
    } <= set(lines)
    engine.dispose()


def test_a_database_that_fails_leaves_the_run_that_was_read_last(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/tandem.db")
    SkewRuns(engine).add(RUN)
    collector = SkewCollector(SkewRuns(engine).newest)
    before = scraped(collector)
    with engine.begin() as db:
        db.execute(text("DROP TABLE skew_runs"))
    assert scraped(collector) == before != ""
    engine.dispose()


def test_a_database_that_hangs_is_asked_once_and_holds_no_scrape_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.orchestrator.collectors._READ_SECONDS", 0.05)
    answers, asked = threading.Event(), list[float]()

    def newest() -> SkewRun:
        asked.append(time.monotonic())
        answers.wait(10)
        return RUN

    collector = SkewCollector(newest)
    began = time.monotonic()
    assert scraped(collector) == scraped(collector) == ""
    assert time.monotonic() - began < 5 and len(asked) <= 1
    monkeypatch.setattr("services.orchestrator.collectors._READ_SECONDS", 10.0)
    answers.set()
    assert "tandem_skew_checked_requests 10.0" in scraped(collector)


def test_the_release_that_serves_is_named_with_its_cut_off(release: Release) -> None:
    lines = scraped(ReleaseCollector(lambda: release)).splitlines()
    assert f'tandem_release_info{{release="{release.release_id}"}} 1.0' in lines
    assert "tandem_release_cut_off_timestamp_seconds 0.0" in lines


def test_while_no_release_serves_none_is_named() -> None:
    def none() -> Release:
        raise Unavailable("no release is active yet")

    assert scraped(ReleaseCollector(none)) == ""
