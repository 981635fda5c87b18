"""Finds and ends the processes of one system's Ray: they inherit the marks in its environment."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

# A sign found in the command line or title, and the name it stands for. The first match counts.
_NAMES = (
    ("ray::ServeReplica:", "ranking"),
    ("ray::ServeController", "ray-controller"),
    ("ray::ProxyActor", "ray-proxy"),
    ("ray::HAProxyManager", "ray-haproxy-manager"),
    ("/bin/haproxy", "ray-haproxy"),
    ("ray::DashboardAgent", "ray-dashboard-agent"),
    ("ray::RuntimeEnvAgent", "ray-runtime-env-agent"),
    ("ray::", "ray-worker"),
    ("/gcs/gcs_server", "ray-gcs"),
    ("/raylet/raylet", "ray-raylet"),
    ("/_private/log_monitor.py", "ray-log-monitor"),
    ("/_private/monitor.py", "ray-monitor"),
    ("/dashboard/dashboard.py", "ray-dashboard"),
    ("/_private/workers/", "ray-worker"),  # before it takes its title
    ("services.ranking", "ray-driver"),
)


def ray_processes(marks: Mapping[str, str]) -> list[tuple[str, int]]:
    """The processes of one system's Ray.

    Args:
        marks: environment variables that the system's processes carry, with their values, such as
            `{"TANDEM_STATE": "/home/me/.tandem"}`.

    Returns:
        `(name, pid)`, sorted. The name is `ranking` for a replica and `ray-*` for the rest;
        `ray-driver` is `python -m services.ranking` itself.
    """
    return sorted((_name(process) or "", process.pid) for process in _find(marks))


def end_processes(runtime_dir: Path, wait_seconds: float = 5.0) -> list[tuple[str, int]]:
    """Kills the processes of one system's Ray, save the calling one.

    Args:
        runtime_dir: the system's `RANKING_RUNTIME_DIR`.
        wait_seconds: how long to wait for them to be gone.

    Returns:
        What was killed, like `ray_processes`.
    """
    marks = {"RANKING_RUNTIME_DIR": str(runtime_dir)}
    killed = []
    # Twice: a process may start another one while the first list is worked off.
    for _ in range(2):
        found = _find(marks) | _orphaned_agents(runtime_dir)
        processes = [process for process in found if process.pid != os.getpid()]
        killed += [(_name(process) or "", process.pid) for process in processes]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        ends = time.monotonic() + wait_seconds
        while any(map(_is_running, processes)) and time.monotonic() < ends:
            time.sleep(0.02)
    return sorted(killed)


def _find(marks: Mapping[str, str]) -> set[psutil.Process]:
    found = set()
    for process in psutil.process_iter():
        # A process may end meanwhile, be a zombie, or another user's.
        with suppress(psutil.Error):
            if _name(process) and marks.items() <= process.environ().items():
                # Ray's agents overwrite their environment: they count by their parent, the raylet.
                found |= {process, *process.children(recursive=True)}
    return {process for process in found if _name(process)}


def _orphaned_agents(runtime_dir: Path) -> set[psutil.Process]:
    """Agents that outlive a killed raylet for up to a minute; they write logs in the folder."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if (_name(process) or "").endswith("-agent") and any(
                Path(file.path).is_relative_to(runtime_dir) for file in process.open_files()
            ):
                found.add(process)
    return found


def _is_running(process: psutil.Process) -> bool:
    """Whether it is there and no zombie: in a container nobody may ever collect those."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _name(process: psutil.Process) -> str | None:
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return None
    return next((name for sign, name in _NAMES if sign in command), None)
