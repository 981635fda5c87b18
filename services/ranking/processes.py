"""Finds and ends the processes of one system's Ray: they inherit the marks in its environment."""

import os
from collections.abc import Mapping

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
    found = []
    for process in psutil.process_iter():
        try:
            name = _name(process)
            if name is not None and marks.items() <= process.environ().items():
                found.append((name, process.pid))
        except psutil.Error:
            continue  # ended meanwhile, a zombie, or another user's
    return sorted(found)


def end_processes(marks: Mapping[str, str], wait_seconds: float = 5.0) -> list[tuple[str, int]]:
    """Kills the processes of one system's Ray, save the calling one.

    Args:
        marks: as for `ray_processes`.
        wait_seconds: how long to wait for them to be gone.

    Returns:
        What was killed.
    """
    killed = []
    # Twice: a process may start another one while the first list is worked off.
    for _ in range(2):
        processes = []
        for name, pid in ray_processes(marks):
            if pid != os.getpid():
                try:
                    processes.append(psutil.Process(pid))
                    processes[-1].kill()
                    killed.append((name, pid))
                except psutil.NoSuchProcess:
                    continue
        psutil.wait_procs(processes, timeout=wait_seconds)
    return killed


def _name(process: psutil.Process) -> str | None:
    command = " ".join(process.cmdline())
    return next((name for sign, name in _NAMES if sign in command), None)
