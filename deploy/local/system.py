"""One Tandem on one machine: up, down, status."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from deploy.local import ports as port_choice
from deploy.local.health import Process, end, is_listening, is_running, is_serving, marked, rss_mb
from deploy.local.programs import programs
from deploy.local.state import Ports, State, StateError
from deploy.local.supervisor import Supervisor
from services.ranking.processes import ray_processes

_READY_SECONDS = 180.0
_END_SECONDS = 5.0


@dataclass(frozen=True)
class Part:
    """A supervised program, where it serves, and how to ask whether it does."""

    name: str
    address: str
    answers: Callable[[str], bool]


class System:
    """The processes of one state folder."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._supervisor = Supervisor(state.runtime, state.path, state.logs)

    @property
    def address(self) -> str:
        """`host:port` of the public API."""
        return f"127.0.0.1:{self._state.ports().orchestrator}"

    def is_up(self) -> bool:
        return self._supervisor.pid() is not None

    def up(self, port: int | None, on_wait: Callable[[list[str]], None]) -> None:
        """Starts all processes and returns when every one of them serves.

        Args:
            port: port of the public API; None keeps the last one.
            on_wait: told, again and again, which parts are still being waited for.

        Raises:
            StateError: the system runs already, the port is taken, or a part does not come up.
        """
        self._state.create()
        with self._lock():
            if self.is_up():
                raise StateError(f"already up at {self.address}")
            self._sweep()
            ports = port_choice.choose(self._state.ports(), port)
            self._state.remember(ports)
            environment = {**_clean_environment(), "TANDEM_STATE": self._state.marker}
            self._supervisor.start(programs(self._state, ports), environment)
            try:
                self._wait(ports, on_wait)
            except StateError:
                self._down()
                raise

    def down(self) -> None:
        """Stops all processes and returns when they are gone. Does nothing when none runs."""
        if self._state.path.is_dir():
            with self._lock():
                self._down()

    def status(self) -> list[Process]:
        """Every process of the system, those of Ray included."""
        if not self.is_up():
            return []
        ports = self._state.ports()
        running = {each.name: each for each in self._supervisor.states()}
        found = []
        for part in _parts(ports):
            program = running.get(part.name)
            if program is not None:
                healthy = program.pid > 0 and part.answers(part.address)
                found.append(
                    Process(part.name, program.pid, part.address, healthy, rss_mb(program.pid))
                )
        return found + self._ray(ports)

    def _ray(self, ports: Ports) -> list[Process]:
        address = f"127.0.0.1:{ports.ranking}"
        serving = is_serving(address)
        return [
            Process(
                name,
                pid,
                address if name == "ranking" else "",
                is_running(pid) and (serving or name != "ranking"),
                rss_mb(pid),
            )
            for name, pid in ray_processes({"TANDEM_STATE": self._state.marker})
        ]

    def _wait(self, ports: Ports, on_wait: Callable[[list[str]], None]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        parts = [*_parts(ports), Part("ranking", f"127.0.0.1:{ports.ranking}", is_serving)]
        while waiting := [part for part in parts if not part.answers(part.address)]:
            on_wait([part.name for part in waiting])
            fatal = [each.name for each in self._supervisor.states() if each.state == "FATAL"]
            if fatal or time.monotonic() > deadline:
                names = ", ".join(fatal or [part.name for part in waiting])
                raise StateError(f"{names} did not come up; see {self._state.logs}")
            time.sleep(0.2)

    def _down(self) -> None:
        self._supervisor.stop()
        self._sweep()
        shutil.rmtree(self._state.runtime, ignore_errors=True)

    def _sweep(self) -> None:
        """Ends what a killed supervisor left behind, and makes its folder anew."""
        left = [each for each in marked(self._state.marker) if each.pid != os.getpid()]
        if left:
            end(left, _END_SECONDS)
        shutil.rmtree(self._state.runtime, ignore_errors=True)
        self._state.runtime.mkdir(mode=0o700)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self._state.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StateError(
                    f"{self._state.path}: another up or down of this state is in progress"
                ) from None
            yield


def _parts(ports: Ports) -> list[Part]:
    def at(port: int) -> str:
        return f"127.0.0.1:{port}"

    return [
        Part("milvus", at(ports.milvus), is_listening),
        Part("features", at(ports.features), is_serving),
        Part("retrieval", at(ports.retrieval), is_serving),
        Part("orchestrator", at(ports.orchestrator), is_serving),
    ]


def _clean_environment() -> dict[str, str]:
    """Our environment, without what would tie the new system to another one or a foreign Ray."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RAY_") and name != "TANDEM_STATE"
    }
