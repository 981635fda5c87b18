"""Gauges that are read when they are scraped."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from models.release import Release
from services.common.errors import Unavailable
from services.common.skew_runs import SkewRun

_READ_SECONDS = 1.0

log = logging.getLogger(__name__)


class ReleaseCollector(Collector):
    """Which release serves, and until when it has learnt.

    Args:
        current: the release; raises `Unavailable` while none serves.
    """

    def __init__(self, current: Callable[[], Release]) -> None:
        self._current = current

    def describe(self) -> Iterable[Metric]:
        return ()  # registering must not collect

    def collect(self) -> Iterator[Metric]:
        try:
            release = self._current()
        except Unavailable:
            return
        info = {"release": release.release_id}
        yield InfoMetricFamily("tandem_release", "The release that serves.", info)
        yield GaugeMetricFamily(
            "tandem_release_cut_off_timestamp_seconds",
            "When the newest event happened that the release has learnt from.",
            release.manifest.cut_off,
        )


class SkewCollector(Collector):
    """What the newest comparison of serving with training found.

    A scrape takes a second at most: while the database does not answer, the run that was read last
    is shown, and its time says how old it is.

    Args:
        newest: reads the newest run; may block, or raise `SQLAlchemyError` or `ValueError`.
    """

    def __init__(self, newest: Callable[[], SkewRun | None]) -> None:
        self._read_newest = newest
        self._newest: SkewRun | None = None
        self._starting = threading.Lock()
        self._reader = threading.Thread()

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        with self._starting:
            if not self._reader.is_alive():
                self._reader = threading.Thread(target=self._read, name="skew-runs", daemon=True)
                self._reader.start()
            reader = self._reader
        reader.join(_READ_SECONDS)
        run = self._newest
        if run is not None:
            yield from _of_run(run)
            yield from _of_features(run)
            yield _of_scores(run)
            yield from _of_drift(run)

    def _read(self) -> None:
        try:
            self._newest = self._read_newest()
        except (SQLAlchemyError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            log.warning("cannot read the comparisons of training", extra={"reason": reason})


def _of_run(run: SkewRun) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "tandem_skew_checked_timestamp_seconds", "When requests were last compared.", run.checked_at
    )
    yield GaugeMetricFamily(
        "tandem_skew_logged_requests", "Logged requests that were looked at.", run.requests
    )
    yield GaugeMetricFamily(
        "tandem_skew_checked_requests", "Those that could be compared.", run.compared
    )


def _of_features(run: SkewRun) -> Iterator[Metric]:
    differing = GaugeMetricFamily(
        "tandem_skew_differing_requests",
        "Requests in which a feature differs from the event log.",
        labels=["feature"],
    )
    largest = GaugeMetricFamily(
        "tandem_skew_max_difference", "Largest difference of a feature.", labels=["feature"]
    )
    for each in run.features:
        differing.add_metric([each.feature], each.differing)
        largest.add_metric([each.feature], each.largest)
    yield from (differing, largest)


def _of_scores(run: SkewRun) -> Metric:
    largest = GaugeMetricFamily(
        "tandem_skew_score_max_difference",
        "Largest difference of a score from the release's, of the score where that is above 1.",
        labels=["release"],
    )
    for release_id, difference in run.scores.items():
        largest.add_metric([release_id], difference)
    return largest


def _of_drift(run: SkewRun) -> Iterator[Metric]:
    psi = GaugeMetricFamily(
        "tandem_drift_psi",
        "Population stability index of a feature, or of scores, from training to serving.",
        labels=["release", "feature"],
    )
    drifted = GaugeMetricFamily(
        "tandem_drift_flagged",
        "1 where that is above its limit, of enough histories.",
        labels=["release", "feature"],
    )
    for each in run.drift:
        psi.add_metric([each.release_id, each.feature], each.psi)
        drifted.add_metric([each.release_id, each.feature], each.drifted)
    yield from (psi, drifted)
