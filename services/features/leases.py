"""Leases: of several replicas, one does a job at a time."""

import time
from uuid import uuid4

from sqlalchemy import Column, Double, Engine, String, Table, or_

from services.common.database import insert_of, metadata

_leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(32), nullable=False),
    Column("until", Double, nullable=False),
)


class Lease:
    """The right to do a job until some moment. Every method is one transaction, and blocks.

    Args:
        name: of the job.
        seconds: after which others may have it, unless it is renewed.
    """

    def __init__(self, engine: Engine, name: str, seconds: float) -> None:
        self._engine = engine
        self._name = name
        self._seconds = seconds
        self._holder = uuid4().hex

    def take(self) -> bool:
        """Takes or renews the lease; False while another holder has it."""
        now = time.time()
        values = {"holder": self._holder, "until": now + self._seconds}
        build = insert_of(self._engine)
        free = or_(_leases.c.until < now, _leases.c.holder == self._holder)
        insert = build(_leases).values(name=self._name, **values)
        taken = insert.on_conflict_do_update(index_elements=["name"], set_=values, where=free)
        with self._engine.begin() as db:
            return db.execute(taken.returning(_leases.c.holder)).first() is not None
