"""What comparisons of serving with training found: written by the job, read for metrics."""

from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import JSON, Column, Engine, Integer, Table, delete, insert, select

from services.common.database import metadata

KEPT = 100
"""Newest runs that are kept."""

_runs = Table(
    "skew_runs",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("run", JSON, nullable=False),
)


@dataclass(frozen=True)
class ComparedFeature:
    """A feature in logged requests, against the event log.

    Attributes:
        feature: name.
        differing: requests in which it differs by more than its tolerance.
        largest: largest difference of any request.
    """

    feature: str
    differing: int
    largest: float


@dataclass(frozen=True)
class DriftedFeature:
    """A feature, or the scores, in the requests of a release against what that learnt from.

    Attributes:
        release_id: the release.
        feature: name.
        psi: population stability index.
        drifted: whether that is above its limit, of enough histories.
    """

    release_id: str
    feature: str
    psi: float
    drifted: bool


@dataclass(frozen=True)
class SkewRun:
    """One comparison. It names no request and no user, so nothing of it has to be erased.

    Attributes:
        checked_at: Unix seconds at which the logs were read.
        requests: logged ones that were looked at.
        compared: those of which any feature could be compared.
        features: every feature.
        scores: largest difference of scores, by release id.
        drift: every feature of every release.
    """

    checked_at: float
    requests: int
    compared: int
    features: tuple[ComparedFeature, ...]
    scores: dict[str, float]
    drift: tuple[DriftedFeature, ...]


_as_json = TypeAdapter(SkewRun)


class SkewRuns:
    """Reads and writes runs. Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, run: SkewRun) -> None:
        """Keeps a run, and forgets those before the newest `KEPT`."""
        row = {"run": _as_json.dump_python(run, mode="json")}
        newest = select(_runs.c.seq).order_by(_runs.c.seq.desc()).limit(KEPT)
        with self._engine.begin() as db:
            db.execute(insert(_runs), row)
            db.execute(delete(_runs).where(_runs.c.seq.not_in(newest)))

    def newest(self) -> SkewRun | None:
        """The run that was added last; None without one.

        Raises:
            ValueError: it is of a version that said other things.
        """
        query = select(_runs.c.run).order_by(_runs.c.seq.desc()).limit(1)
        with self._engine.connect() as db:
            row = db.execute(query).scalar()
        return None if row is None else _as_json.validate_python(row)
