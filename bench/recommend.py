"""Recommend, end to end, against the floor: `tandem bench`.

Starts both in a temporary state on free ports, asks the same users of both, and leaves nothing.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from rich.console import Console

from bench.load import Timings, drive
from bench.percentiles import percentiles
from deploy.local.health import rss_mb
from deploy.local.state import State
from deploy.local.system import System
from models.release import Release
from services.common.database import open_database
from services.common.ports import free_ports
from services.common.releases import ReleaseRegistry
from services.orchestrator.pipeline import STAGES
from training.job import train_from_log
from training.readers import read
from training.synthetic import write_world

_USERS = 200
_WARM_UP = 50
_CLIENTS = 16
_START_SECONDS = 60

_console = Console(stderr=True)


def run(data: Path | None, requests: int) -> dict[str, Any]:
    """Measures both servers.

    Args:
        data: the log to train on; a synthetic world when None.
        requests: calls of each kind (one client; sixteen clients) to each server.

    Returns:
        The document of `tandem bench --json`: milliseconds, requests a second, MiB.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        state = State(Path(folder) / "state")
        state.create()
        if data is None:
            data = Path(folder) / "world"
            write_world(data, n_users=400, n_items=2_000, seed=1)
        release = train_from_log(
            read(data),
            database_url=state.database_url,
            release_root=state.releases,
            activate_at_start=True,
        )
        users = [str(user) for user in release.users["user_id"][:_USERS]]
        with _floor(state, release) as (pid, address), _console.status("measuring the floor"):
            floor = asyncio.run(_measure(address, users, requests))
            floor_rss = rss_mb(pid)
        with _system(state) as system, _console.status("measuring the system"):
            ours = asyncio.run(_measure(system.address, users, requests))
            rss = {"floor": floor_rss}
            for process in system.status():
                rss[process.name] = round(rss.get(process.name, 0.0) + process.rss_mb, 1)
            active = ReleaseRegistry(open_database(state.database_url)).active()
            assert active == release.release_id
    return _document(ours, floor, rss)


async def _measure(address: str, users: list[str], requests: int) -> tuple[Timings, Timings]:
    await drive(address, users, _WARM_UP, clients=1)
    return (
        await drive(address, users, requests, clients=1),
        await drive(address, users, requests, clients=_CLIENTS),
    )


def _document(
    ours: tuple[Timings, Timings], floor: tuple[Timings, Timings], rss: dict[str, float]
) -> dict[str, Any]:
    recommend, least = _summary(*ours), _summary(*floor)
    levels = [answer.level for answer in ours[0].answers]
    return {
        "recommend": recommend,
        "floor": least,
        "ratio_p50": recommend["p50_ms"] / least["p50_ms"],
        "ratio_rps": recommend["rps_16"] / least["rps_16"],
        "stages": {stage: _stage(ours[0], stage) for stage in STAGES},
        "full_answers": sum(level == 1 for level in levels) / len(levels),
        "rss_mb": rss,
    }


def _summary(alone: Timings, together: Timings) -> dict[str, float]:
    return {
        **percentiles(alone.millis),
        "rps_16": together.rate,
        "p99_ms_16": together.percentile(99),
    }


def _stage(timings: Timings, stage: str) -> dict[str, float]:
    millis = [answer.stage_millis[stage] for answer in timings.answers]
    return percentiles(millis)


@contextmanager
def _floor(state: State, release: Release) -> Iterator[tuple[int, str]]:
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "bench.floor",
        str(release.path),
        state.database_url,
        str(port),
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            with grpc.insecure_channel(address) as channel:
                grpc.channel_ready_future(channel).result(timeout=_START_SECONDS)
            yield process.pid, address
        finally:
            process.terminate()


@contextmanager
def _system(state: State) -> Iterator[System]:
    system = System(state)
    try:
        with _console.status("starting") as shown:
            system.up(0, lambda names: shown.update(f"waiting for {', '.join(names)}"))
        yield system
    finally:
        system.down()
