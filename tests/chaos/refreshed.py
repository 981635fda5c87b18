"""A running system on either database, and refreshes of it that may be killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from deploy.local.health import marked
from deploy.local.state import State
from deploy.local.system import System
from services.common.database import open_database
from services.common.leases import Lease
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import Client
from tests.chaos import leftovers
from training.config import TrainingConfig
from training.job import train_from_log
from training.readers import read
from training.refresh import LEASE
from training.synthetic import World, write_world

_LOOK_AGAIN_SECONDS = 0.01
_PATIENCE_SECONDS = 120.0


class StateOn(State):
    """A state whose database is a server's."""

    def __init__(self, path: Path, url: str) -> None:
        super().__init__(path)
        self._url = url

    @property
    def database_url(self) -> str:
        return self._url


@dataclass(frozen=True)
class Site:
    """A system that is up.

    Attributes:
        command: refreshes it.
        temporary: the folder that refreshes have for temporary files.
    """

    state: State
    engine: Engine
    client: Client
    world: World
    command: list[str]
    temporary: Path

    @property
    def milvus_uri(self) -> str:
        return f"http://127.0.0.1:{self.state.ports().milvus}"

    def registered(self) -> set[str]:
        return leftovers.of_registry(self.engine)

    @contextmanager
    def refresh(self) -> Iterator["subprocess.Popen[str]"]:
        """A refresh in a process group of its own, from the moment at which it has its lease."""
        lease = Lease(self.engine, LEASE, 60.0)
        assert lease.holder() is None
        with subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.temporary)},
            start_new_session=True,
        ) as process:
            try:
                wait_until(lambda: lease.holder() is not None or process.poll() is not None)
                yield process
            finally:
                kill_group(process)


def wait_until(check: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> None:
    ends = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(_LOOK_AGAIN_SECONDS)


def kill_group(process: "subprocess.Popen[str]") -> None:
    """SIGKILL to a process and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def site(folder: Path, postgres_url: str | None) -> Iterator[Site]:
    """A small world, trained and served; afterwards nothing of it runs any more."""
    world = write_world(folder / "world", n_users=30, n_items=60, seed=7)
    path = folder / "state"
    state = State(path) if postgres_url is None else StateOn(path, postgres_url)
    state.create()
    (temporary := folder / "temporary").mkdir()
    train_from_log(
        read(world.path),
        database_url=state.database_url,
        release_root=state.releases,
        activate_at_start=True,
        config=TrainingConfig(threads=1),
    )
    engine, system = open_database(state.database_url), System(state)
    try:
        system.up(0, lambda _: None)
        if postgres_url is None:
            command = ["tandem_cli.main", "refresh", "--state", str(path), "--json"]
        else:
            addresses = ["--database-url", postgres_url, "--orchestrator", system.address]
            command = ["training.refresh", "--release-root", str(state.releases), *addresses]
        with Client(system.address) as client:
            wait_until(lambda: client.recommend("warm-up").level == pb.LEVEL_FULL)
            yield Site(state, engine, client, world, [sys.executable, "-m", *command], temporary)
    finally:
        system.down()
        engine.dispose()
    assert not marked(state.marker)
