"""One process has a lease at a time, and others are told which, on SQLite and PostgreSQL alike."""

import signal
import subprocess
import sys
import time

from sqlalchemy import Engine

from services.common.leases import Lease
from tests.contract.databases import engine

__all__ = ["engine"]


def test_the_holder_is_named_since_it_began(engine: Engine) -> None:
    first, second = (Lease(engine, "job", 60.0, who) for who in ("first", "second"))
    assert first.holder() is None
    before = time.time()
    assert first.take() and not second.take()
    began = second.holder()
    assert first.take()
    renewed = second.holder()
    assert began is not None and renewed is not None
    assert began.who == "first" and before <= began.since <= time.time()
    assert (renewed.since, renewed.who) == (began.since, "first")
    assert renewed.until > began.until


def test_the_next_holder_begins_anew(engine: Engine) -> None:
    assert Lease(engine, "job", -1.0, "killed").take()
    lease = Lease(engine, "job", 60.0, "next")
    assert lease.holder() is None
    before = time.time()
    assert lease.take()
    holder = lease.holder()
    assert holder is not None and holder.who == "next" and holder.since >= before


def test_a_lease_is_renewed_while_the_job_lasts_and_free_at_once_after_it(engine: Engine) -> None:
    mine, other = Lease(engine, "job", 0.5), Lease(engine, "job", 0.5)
    assert mine.take()
    with mine.renewed(every=0.05):
        time.sleep(0.8)
        assert not other.take()
    assert other.take()


def test_nobody_gives_back_what_another_has(engine: Engine) -> None:
    mine, other = Lease(engine, "job", 60.0), Lease(engine, "job", 60.0)
    assert mine.take()
    other.give_back()
    assert not other.take()


HOLDS = """
import sys, time
from services.common.database import open_database
from services.common.leases import Lease
assert Lease(open_database(sys.argv[1]), "job", 600.0, "another process").take()
print("held", flush=True)
time.sleep(600)
"""


def test_who_was_killed_is_in_nobodys_way_but_who_only_stands_still_is(engine: Engine) -> None:
    lease = Lease(engine, "job", 60.0)
    url = engine.url.render_as_string(hide_password=False)
    with subprocess.Popen([sys.executable, "-c", HOLDS, url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"held\n"
            process.send_signal(signal.SIGSTOP)
            assert not lease.take()
            holder = lease.holder()
            assert holder is not None and holder.who == "another process"
        finally:
            process.kill()
    assert lease.holder() is None
    before = time.time()
    assert lease.take()
    holder = lease.holder()
    assert holder is not None and holder.since >= before
