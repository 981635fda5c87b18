"""supervisord: writes its configuration, starts it detached, asks it for states, stops it."""

import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from deploy.local.state import StateError

_SOCKET = "supervisor.sock"
_STOP_SECONDS = 12


@dataclass(frozen=True)
class Program:
    """One supervised process.

    Attributes:
        name: its name in `status` and of its log file.
        command: program and arguments.
        environment: variables it needs; their names are its own by prefix.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class ProgramState:
    """`state` is one of supervisor's: STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL."""

    name: str
    state: str
    pid: int


class Supervisor:
    """The supervisord of one state folder.

    Args:
        runtime: short folder for its socket.
        folder: where its configuration lives.
        logs: where the programs' output goes, one file each.
    """

    def __init__(self, runtime: Path, folder: Path, logs: Path) -> None:
        self._socket = runtime / _SOCKET
        self._config = folder / "supervisord.conf"
        self._logs = logs
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, programs: Sequence[Program], environment: Mapping[str, str]) -> None:
        """Starts supervisord in a session of its own, holding none of our files.

        It is given the variables of all programs, whose prefixes keep them apart, and they inherit
        them: its configuration file could not quote every value.
        """
        variables = dict(environment)
        for program in programs:
            variables |= program.environment
        self._config.write_text(self._configuration(programs))
        with (self._logs / "supervisord.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._config.parent,
                env=variables,
            )
        deadline = time.monotonic() + 15
        while not self.states():
            if time.monotonic() > deadline:
                raise StateError(f"supervisord did not start; see {self._logs / 'supervisord.log'}")
            time.sleep(0.1)

    def states(self) -> list[ProgramState]:
        """What supervisord says of its programs; empty when it does not run."""
        try:
            with self._rpc() as rpc:
                found: Any = rpc.getAllProcessInfo()
        except (OSError, xmlrpc.client.Error):
            return []
        return [ProgramState(each["name"], each["statename"], each["pid"]) for each in found]

    def pid(self) -> int | None:
        """supervisord's process id, when it runs."""
        try:
            with self._rpc() as rpc:
                return int(rpc.getPID())
        except (OSError, xmlrpc.client.Error):
            return None

    def stop(self) -> None:
        """Stops all programs and supervisord; returns when it is gone."""
        pid = self.pid()
        if pid is None:
            return
        try:
            process = psutil.Process(pid)
            with self._rpc() as rpc:
                rpc.shutdown()
            process.wait(timeout=3 * _STOP_SECONDS)
        except (OSError, xmlrpc.client.Error, psutil.Error):
            pass  # gone already, or left to the caller's sweep
        if self._process is not None:
            self._process.wait()

    @contextmanager
    def _rpc(self) -> Iterator[Any]:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        with closing(transport):
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def _configuration(self, programs: Sequence[Program]) -> str:
        head = f"""[supervisord]
logfile=/dev/null
logfile_maxbytes=0
pidfile=supervisord.pid

[unix_http_server]
file={_escape(self._socket)}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
        return "\n".join([head, *(self._section(program) for program in programs)])

    def _section(self, program: Program) -> str:
        command = " ".join(_quote(part) for part in program.command)
        # Relative: supervisord expands % in this one twice.
        logs = os.path.relpath(self._logs, self._config.parent)
        return f"""[program:{program.name}]
command={command}
autorestart=true
startsecs=1
startretries=20
stopasgroup=true
killasgroup=true
stopwaitsecs={_STOP_SECONDS}
redirect_stderr=true
stdout_logfile={logs}/{program.name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=1
"""


def _escape(value: object) -> str:
    return str(value).replace("%", "%%")


def _quote(value: str) -> str:
    return '"' + _escape(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
