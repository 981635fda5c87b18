"""A whole system, as a user starts it: the `tandem` command, real processes, free ports."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from deploy.local.health import marked
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import Client
from training.synthetic import World

COMMAND = (sys.executable, "-m", "tandem_cli.main")


@dataclass(frozen=True)
class Running:
    """A system that is up."""

    state: Path
    world: World
    client: Client
    address: str

    def tandem(self, *arguments: str) -> Any:
        """Runs a command on this system's state; its JSON output, parsed."""
        done = tandem(*arguments, "--state", str(self.state), "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def processes(self) -> dict[str, dict[str, Any]]:
        """One process of each name, from `tandem status`."""
        return {each["name"]: each for each in self.tandem("status")["processes"]}


def tandem(*arguments: str, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
    """Runs the command as a shell would."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def until(check: Callable[[], bool], seconds: float) -> bool:
    """Whether a condition comes true in time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if check():
            return True
        time.sleep(0.1)
    return False


def answers_fully(client: Client, user_id: str) -> bool:
    return client.recommend(user_id).level == pb.LEVEL_FULL


def start(state: Path, world: World) -> Iterator[Running]:
    """Trains on a world and serves it; afterwards takes it down and looks for leftovers."""
    up = tandem(
        *("up", "--detach", "--json", "--data", str(world.path)),
        *("--state", str(state), "--port", "0"),
    )
    try:
        assert up.returncode == 0, up.stderr
        status = json.loads(up.stdout)
        (address,) = {p["address"] for p in status["processes"] if p["name"] == "orchestrator"}
        with Client(address) as client:
            assert until(lambda: answers_fully(client, "warm-up"), 20)
            yield Running(state, world, client, address)
    finally:
        down = tandem("down", "--state", str(state))
        left = [process.name() for process in marked(str(state)) if process.is_running()]
        assert down.returncode == 0, down.stderr
        assert left == []


def kill(pid: int) -> None:
    psutil.Process(pid).kill()
