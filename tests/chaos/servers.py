"""Servers that a test may kill and start again: PostgreSQL, Redis, replicas of features."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from services.features.settings import FeaturesSettings
from tests.contract.feature_fixtures import postgres_programs, postgres_user, redis_program

_LOOK_AGAIN_SECONDS = 0.3


@dataclass
class Server:
    """A process that is started again whenever it has ended.

    Attributes:
        command: program and arguments.
        log: where its output goes.
        environment: its variables, besides ours.
        starts: how often it was started.
    """

    command: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.starts += 1

    def kill(self) -> None:
        """SIGKILL, and no more than that."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def keep(self) -> None:
        """Starts it, and again as soon as it has ended, until cancelled."""
        while True:
            if self._process is None or self._process.poll() is not None:
                self.start()
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)


@contextmanager
def postgres(port: int) -> Iterator[tuple[Server, str]]:
    """A server that writes through to the disk, and the URL of its database. Not started yet."""
    initdb, program = postgres_programs()
    user = postgres_user()
    folder = Path(tempfile.mkdtemp(prefix="tandem-chaos-", dir="/tmp"))  # a short path for sockets
    if user is not None:
        shutil.chown(folder, user)
    setup = [initdb, "-D", str(folder / "data"), "-A", "trust", "-U", "tandem"]
    subprocess.run(setup, user=user, cwd=folder, check=True, capture_output=True)
    options = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1"]
    command = [program, "-D", str(folder / "data"), *options, "-c", "fsync=on"]
    if user is not None:
        # Not Popen's own way, which forks: a fork of a process with gRPC's threads may crash.
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
    server = Server(command, folder / "log")
    try:
        yield server, f"postgresql+psycopg://tandem@127.0.0.1:{port}/postgres"
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def end_connections(port: int) -> int:
    """Ends every connection to the database but this one; how many there were."""
    address = f"postgresql://tandem@127.0.0.1:{port}/postgres"
    with psycopg.connect(address, autocommit=True) as db:
        ended = db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    return len(ended)


def redis(port: int, folder: Path) -> Server:
    """A server that keeps nothing: after each start it is empty."""
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    return Server([redis_program(), *arguments], folder / "redis.log")


def replica(settings: FeaturesSettings, log: Path) -> Server:
    """A features service as a process of its own."""
    variables = {
        f"FEATURES_{name.upper()}": str(getattr(settings, name))
        for name in settings.model_fields_set
    }
    path = os.pathsep.join(sys.path)
    command = [sys.executable, "-m", "services.features"]
    return Server(command, log, {**variables, "PYTHONPATH": path})


@contextmanager
def ended_afterwards(*servers: Server) -> Iterator[None]:
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.kill)
        yield
