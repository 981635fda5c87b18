"""What comparisons found is kept, newest first, on SQLite and PostgreSQL alike."""

import pytest
from sqlalchemy import Engine, text

from services.common.skew_runs import KEPT, ComparedFeature, DriftedFeature, SkewRun, SkewRuns
from tests.contract.databases import engine

__all__ = ["engine"]

RUN = SkewRun(
    checked_at=1e9,
    requests=12,
    compared=10,
    features=(ComparedFeature("region", 2, 1.0), ComparedFeature("trend", 0, 3e38)),
    scores={"r1": 1e-7},
    drift=(DriftedFeature("r1", "hour", 0.5, True),),
)


def numbered(number: int) -> SkewRun:
    return SkewRun(float(number), number, 0, (), {}, ())


def test_the_newest_run_is_read_as_it_was_added(engine: Engine) -> None:
    runs = SkewRuns(engine)
    assert runs.newest() is None
    runs.add(numbered(1))
    runs.add(RUN)
    assert runs.newest() == RUN


def test_old_runs_go(engine: Engine) -> None:
    runs = SkewRuns(engine)
    for number in range(KEPT + 5):
        runs.add(numbered(number))
    with engine.connect() as db:
        assert db.execute(text("SELECT count(*) FROM skew_runs")).scalar_one() == KEPT
    assert runs.newest() == numbered(KEPT + 4)


def test_a_run_of_another_version_is_refused(engine: Engine) -> None:
    with engine.begin() as db:
        db.execute(text("INSERT INTO skew_runs (run) VALUES ('{\"checked_at\": 1}')"))
    with pytest.raises(ValueError, match="requests"):
        SkewRuns(engine).newest()
