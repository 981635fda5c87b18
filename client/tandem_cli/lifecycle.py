"""`tandem up`, `down` and `status`: the processes of one machine."""

import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from deploy.local.state import State, StateError
from deploy.local.system import System
from services.common.database import open_database
from services.common.releases import ReleaseRegistry
from tandem_cli.options import data_option, json_option, port_option, state_option
from tandem_cli.output import print_json, print_table
from tandem_cli.rules_files import read_rules

_console = Console(stderr=True)


@click.command()
@click.option("--detach", is_flag=True, help="Return when serving, and leave the system running.")
@data_option(required=False)
@state_option
@port_option
@json_option
def up(detach: bool, data: Path | None, state: State, port: int | None, as_json: bool) -> None:
    """Starts the system; trains first when the state holds no release."""
    system = System(state)
    if system.is_up():
        raise StateError(f"already up at {system.address}")
    if state.rules.exists():
        read_rules(state.rules)  # what would not serve, should not train first
    if not _has_release(state):
        _train_first(state, data)
    with _console.status("starting") as shown:
        system.up(port, lambda names: shown.update(f"waiting for {', '.join(names)}"))
    if as_json:
        print_json(_status(state, system))
    else:
        _print_welcome(system.address, state)
    if not detach:
        _stay(system)


def _has_release(state: State) -> bool:
    """Creates nothing, so that a log that is refused leaves no trace."""
    if not (state.path / "tandem.db").exists():
        return False
    return bool(ReleaseRegistry(open_database(state.database_url)).list())


def _train_first(state: State, data: Path | None) -> None:
    """Trains in a process of its own, so that its memory goes back before serving begins."""
    if data is None:
        raise StateError(f"{state.path} holds no release: name a log to learn from with --data")
    command = [sys.executable, "-m", "tandem_cli.main", "train"]
    done = subprocess.run(
        [*command, "--data", str(data), "--state", str(state.path)], stdout=sys.stderr, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)  # it has said why


def _print_welcome(address: str, state: State) -> None:
    print(f"""Tandem serves on {address}  (logs in {state.logs})

  tandem recommend 1 -n 10 --state {state.path}

  from tandem_client import Client
  with Client("{address}") as client:
      print(client.recommend("1", count=10))
""")


def _stay(system: System) -> None:
    """Waits for Ctrl-C or SIGTERM, then takes the system down."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    print("Ctrl-C stops it.", flush=True)
    while not stopping.wait(2.0):
        if not system.is_up():
            raise StateError("the system was taken down")
    with _console.status("stopping"):
        system.down()


@click.command()
@state_option
@port_option
@json_option
def down(state: State, port: int | None, as_json: bool) -> None:
    """Stops the system; returns when every process is gone."""
    with _console.status("stopping"):
        System(state).down()
    if as_json:
        print_json({"state": str(state.path), "processes": []})


@click.command()
@state_option
@port_option
@json_option
def status(state: State, port: int | None, as_json: bool) -> None:
    """Lists the processes, their health and memory."""
    found = _status(state, System(state))
    if as_json:
        return print_json(found)
    print_table(
        ["process", "pid", "address", "healthy", "RSS MiB"],
        [list(process.values()) for process in found["processes"]],
        f"release {found['release_id'] or 'none'}",
    )


def _status(state: State, system: System) -> dict[str, Any]:
    release_id = None
    if (state.path / "tandem.db").exists():
        release_id = ReleaseRegistry(open_database(state.database_url)).active()
    return {
        "release_id": release_id,
        "processes": [asdict(process) for process in system.status()],
    }
