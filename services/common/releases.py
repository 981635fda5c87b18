"""The release registry: which releases exist, and which one serves."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
)
from sqlalchemy import update as sql_update

from services.common.database import metadata
from services.common.errors import FailedPrecondition, NotFound

_releases = Table(
    "releases",
    metadata,
    Column("release_id", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("activate_at_start", Boolean, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
)

_activations = Table(
    "activations",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("release_id", String(64), nullable=False),
    Column("activated_at", Float, nullable=False),
)


class ReleaseState(StrEnum):
    BUILT = "BUILT"
    PROBED = "PROBED"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class ReleaseRecord:
    """A release as the registry knows it.

    Attributes:
        release_id: its id.
        state: where it is in its life.
        created_at: when training finished.
        metrics: offline metrics by name ("ndcg@10").
        reason: why it was refused; empty unless it is `FAILED`.
    """

    release_id: str
    state: ReleaseState
    created_at: datetime
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""

    @property
    def has_served(self) -> bool:
        """Whether it serves, or did."""
        return self.state in (ReleaseState.ACTIVE, ReleaseState.RETIRED)


class ReleaseRegistry:
    """Reads and writes the registry. Every method is one transaction, and blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self, release_id: str, metrics: dict[str, float], *, activate_at_start: bool = False
    ) -> ReleaseRecord:
        """Registers a finished build; it may wait for the next start of the system to serve."""
        with self._engine.begin() as db:
            return add_release(db, release_id, metrics, activate_at_start=activate_at_start)

    def list(self) -> list[ReleaseRecord]:
        """All releases, newest first."""
        with self._engine.connect() as db:
            rows = db.execute(select(_releases).order_by(_releases.c.created_at.desc())).all()
        return [
            ReleaseRecord(
                row.release_id,
                ReleaseState(row.state),
                datetime.fromtimestamp(row.created_at, UTC),
                dict(row.metrics),
                row.reason,
            )
            for row in rows
        ]

    def get(self, release_id: str) -> ReleaseRecord:
        """One release.

        Raises:
            NotFound: there is none with this id.
        """
        for record in self.list():
            if record.release_id == release_id:
                return record
        raise NotFound(f"release_id: no release {release_id!r}")

    def active(self) -> str | None:
        """Id of the release that serves."""
        with self._engine.connect() as db:
            return db.execute(
                select(_releases.c.release_id).where(_releases.c.state == ReleaseState.ACTIVE.value)
            ).scalar()

    def pending(self) -> str | None:
        """Id of the newest release, if it waits for the system's start to serve."""
        with self._engine.connect() as db:
            newest = db.execute(
                select(_releases).order_by(_releases.c.created_at.desc()).limit(1)
            ).first()
        if newest is None or not newest.activate_at_start:
            return None
        waits = newest.state in (ReleaseState.BUILT, ReleaseState.PROBED)
        return str(newest.release_id) if waits else None

    def refuse(self, release_id: str, reason: str) -> None:
        """Marks a release as one that cannot serve, and says why; not one that serves or did, which
        another replica may have found good meanwhile."""
        self._judge(release_id, ReleaseState.FAILED, reason)

    def pass_probe(self, release_id: str) -> None:
        """Marks a release as one that may serve; one that serves or did stays what it is."""
        self._judge(release_id, ReleaseState.PROBED, "")

    def previous(self) -> str:
        """Id of the release that served before the active one.

        Raises:
            FailedPrecondition: no other release ever served.
        """
        active = self.active()
        with self._engine.connect() as db:
            found = db.execute(
                select(_activations.c.release_id)
                .join(_releases, _releases.c.release_id == _activations.c.release_id)
                .where(_activations.c.release_id != active)
                .where(_releases.c.state == ReleaseState.RETIRED.value)
                .order_by(_activations.c.seq.desc())
                .limit(1)
            ).scalar()
        if found is None:
            raise FailedPrecondition("there is no earlier release to roll back to")
        return str(found)

    def activate(self, release_id: str) -> ReleaseRecord:
        """Makes a release the active one, and retires the one that was, in one transaction.

        Raises:
            NotFound: there is none with this id.
        """
        with self._engine.begin() as db:
            db.execute(
                sql_update(_releases)
                .where(_releases.c.state == ReleaseState.ACTIVE.value)
                .values(state=ReleaseState.RETIRED.value)
            )
            found = db.execute(
                sql_update(_releases)
                .where(_releases.c.release_id == release_id)
                .values(state=ReleaseState.ACTIVE.value, reason="")
            )
            if not found.rowcount:  # it may have been collected while it was prepared
                raise NotFound(f"release_id: no release {release_id!r}")
            db.execute(
                insert(_activations).values(
                    release_id=release_id, activated_at=datetime.now(UTC).timestamp()
                )
            )
        return self.get(release_id)

    def _judge(self, release_id: str, state: ReleaseState, reason: str) -> None:
        served = (ReleaseState.ACTIVE.value, ReleaseState.RETIRED.value)
        with self._engine.begin() as db:
            db.execute(
                sql_update(_releases)
                .where(_releases.c.release_id == release_id)
                .where(_releases.c.state.not_in(served))
                .values(state=state.value, reason=reason)
            )


def add_release(
    db: Connection, release_id: str, metrics: dict[str, float], *, activate_at_start: bool
) -> ReleaseRecord:
    """See `ReleaseRegistry.add`; for whoever writes more in the same transaction."""
    record = ReleaseRecord(release_id, ReleaseState.BUILT, datetime.now(UTC), metrics)
    db.execute(
        insert(_releases).values(
            release_id=release_id,
            state=record.state.value,
            created_at=record.created_at.timestamp(),
            metrics=metrics,
            activate_at_start=activate_at_start,
        )
    )
    return record


def remove_release(db: Connection, release_id: str) -> bool:
    """Strikes a release off, unless it is active; False when nothing was struck off.

    Its activations stay: who served when is history, and `previous` names only what is registered.
    """
    gone = db.execute(
        delete(_releases)
        .where(_releases.c.release_id == release_id)
        .where(_releases.c.state != ReleaseState.ACTIVE.value)
    )
    return bool(gone.rowcount)
