"""Options that many commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from deploy.local.state import DEFAULT_STATE, State
from tandem_client import Client

_F = TypeVar("_F", bound=Callable[..., Any])


class _StateType(click.ParamType[State]):
    name = "folder"

    def convert(self, value: Any, param: Any, ctx: Any) -> State:
        return value if isinstance(value, State) else State(Path(value))


def state_option(command: _F) -> _F:
    return click.option(
        "--state",
        type=_StateType(),
        default=str(DEFAULT_STATE),
        show_default=True,
        help="Folder that holds all of a system.",
    )(command)


def port_option(command: _F) -> _F:
    return click.option(
        "--port",
        type=click.IntRange(0, 65535),
        help="Port of the public API; the state remembers the last one.",
    )(command)


def json_option(command: _F) -> _F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def count_option(command: _F) -> _F:
    return click.option(
        "-n", "count", type=int, default=10, show_default=True, help="Items wanted, 1 to 500."
    )(command)


def data_option(required: bool) -> Callable[[_F], _F]:
    return click.option(
        "--data",
        type=click.Path(path_type=Path),
        required=required,
        help="A MovieLens folder, or one with events.csv or events.parquet.",
    )


def connect(state: State, port: int | None) -> Client:
    """A client of the system with this state, which may be down."""
    return Client(f"127.0.0.1:{port or state.ports().orchestrator}")
