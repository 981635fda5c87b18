"""Leases: of several processes, one does a job at a time. One that died is in nobody's way: on its
own host that is seen at once, and elsewhere when its time is over."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import (
    Column,
    ColumnElement,
    Double,
    Engine,
    String,
    Table,
    case,
    delete,
    or_,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from services.common.database import insert_of, metadata
from services.common.process_identity import is_gone, this_process

_leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(32), nullable=False),
    Column("until", Double, nullable=False),
    Column("who", String(128), nullable=False, server_default=""),
    Column("since", Double, nullable=False, server_default="0"),
    Column("process", String(256), nullable=False, server_default=""),
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """Who does a job.

    Attributes:
        who: as the holder calls itself.
        since: Unix seconds of when it began.
        until: Unix seconds at which others may have the job, unless it renews the lease.
    """

    who: str
    since: float
    until: float


class Lease:
    """The right to do a job until some moment. Every method blocks.

    Args:
        name: of the job.
        seconds: after which others may have it, unless it is renewed.
        who: whom others are told about, 128 characters at most.
    """

    def __init__(self, engine: Engine, name: str, seconds: float, who: str = "") -> None:
        self._engine = engine
        self._name = name
        self._seconds = seconds
        self._who = who[:128]
        self._holder = uuid4().hex

    def take(self) -> bool:
        """Takes or renews the lease; False while another holder, which may be alive, has it."""
        ours = _leases.c.holder == self._holder
        if self._take_if(or_(_leases.c.until < time.time(), ours)):
            return True
        with self._engine.connect() as db:
            held = db.execute(select(_leases).where(_leases.c.name == self._name)).first()
        if held is None or not is_gone(held.process):
            return False
        return self._take_if(_leases.c.holder == held.holder)

    def _take_if(self, free: ColumnElement[bool]) -> bool:
        now = time.time()
        values = {
            "holder": self._holder,
            "until": now + self._seconds,
            "who": self._who,
            "process": this_process(),
        }
        insert = insert_of(self._engine)(_leases).values(name=self._name, since=now, **values)
        ours = _leases.c.holder == self._holder
        taken = insert.on_conflict_do_update(
            index_elements=["name"],
            set_={**values, "since": case((ours, _leases.c.since), else_=now)},
            where=free,
        )
        with self._engine.begin() as db:
            return db.execute(taken.returning(_leases.c.holder)).first() is not None

    def give_back(self) -> None:
        """Lets others have the job at once. Does nothing unless the lease is held."""
        with self._engine.begin() as db:
            db.execute(
                delete(_leases).where(
                    _leases.c.name == self._name, _leases.c.holder == self._holder
                )
            )

    def holder(self) -> Holder | None:
        """Who has the job now; None when it is free."""
        query = select(_leases).where(_leases.c.name == self._name, _leases.c.until >= time.time())
        with self._engine.connect() as db:
            row = db.execute(query).first()
        if row is None or is_gone(row.process):
            return None
        return Holder(row.who, row.since, row.until)

    @contextmanager
    def renewed(self, every: float) -> Iterator[None]:
        """Renews a lease that is held from a thread, and gives it back at the end.

        Args:
            every: seconds between renewals; a few of them fit into the lease, so that one which
                fails loses nothing.
        """
        ended = threading.Event()
        thread = threading.Thread(
            target=self._renew, args=(ended, every), name=f"lease-{self._name}", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.give_back()

    def _renew(self, ended: threading.Event, every: float) -> None:
        while not ended.wait(every):
            try:
                if not self.take():
                    log.warning("lease %s was lost: it was not renewed in time", self._name)
                    return
            except SQLAlchemyError as error:
                log.warning("lease %s not renewed: %s", self._name, error)
