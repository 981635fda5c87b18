"""A system's state folder and ports, without a system."""

import shutil
import socket
from pathlib import Path

import pytest

from deploy.local.ports import choose
from deploy.local.state import Ports, State, StateError
from deploy.local.supervisor import Program, Supervisor
from services.common.ports import free_ports


def test_ports_are_remembered(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.create()
    ports = choose(state.ports(), 0)
    state.remember(ports)
    assert state.ports() == ports
    assert choose(state.ports(), None) == ports


def test_a_taken_public_port_is_refused_by_number() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StateError, match=str(port)):
            choose(Ports(), port)


def test_a_taken_internal_port_is_replaced() -> None:
    known = choose(Ports(), 0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", known.features))
        other.listen()
        fresh = choose(known, None)
    assert fresh.features != known.features
    assert fresh.retrieval == known.retrieval


def test_free_ports_are_distinct() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_damaged_ports_file_is_named(tmp_path: Path) -> None:
    state = State(tmp_path)
    (tmp_path / "ports.json").write_text("{")
    with pytest.raises(StateError, match=r"ports\.json"):
        state.ports()


def test_sockets_fit_however_long_the_state_path_is(tmp_path: Path) -> None:
    long = State(tmp_path / ("x" * 100) / ("y" * 100))
    assert len(str(long.runtime)) <= 35
    assert long.runtime != State(tmp_path).runtime


def test_supervised_programs_start_restart_and_stop(tmp_path: Path) -> None:
    folder = tmp_path / "with % and space"
    folder.mkdir()
    runtime = State(tmp_path).runtime  # pytest's own folder is too deep for a socket
    runtime.mkdir(mode=0o700)
    supervisor = Supervisor(runtime, folder, folder)
    mark = folder / "a mark"
    script = "import os, pathlib, time; pathlib.Path(os.environ['MARK']).touch(); time.sleep(60)"
    program = Program("sleeper", ("/usr/bin/env", "python3", "-c", script), {"MARK": str(mark)})
    assert supervisor.states() == []
    try:
        supervisor.start([program], {"PATH": "/usr/bin:/bin"})
        assert [each.name for each in supervisor.states()] == ["sleeper"]
        assert supervisor.pid() is not None
    finally:
        supervisor.stop()
        shutil.rmtree(runtime)
    assert supervisor.pid() is None
