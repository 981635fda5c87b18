"""Entry point of `tandem`: finds the command, and runs it."""

import importlib
import os
from collections.abc import Sequence

import click

from training.commands import run

_MODULES = {
    "up": "lifecycle",
    "down": "lifecycle",
    "status": "lifecycle",
    "train": "train",
    "refresh": "train",
    "releases": "releases",
    "rules": "rules",
    "recommend": "calls",
    "explain": "slates",
    "replay": "slates",
    "similar": "similar",
    "event": "calls",
    "delete-user": "users",
    "upsert-items": "upserts",
    "evaluate": "measure",
    "bench": "measure",
    "skew": "skew",
}


class _LazyGroup(click.Group):
    """Imports a command's module when it is asked for: `recommend` needs no torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        module = importlib.import_module(f"tandem_cli.{_MODULES[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command


@click.group(cls=_LazyGroup)
def tandem() -> None:
    """Tandem: from an interaction log to a live two-stage recommender."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; exits with 0, or with one line on stderr and another status."""
    # Read when numpy and torch are imported, which is later. On a busy machine threads that spin
    # while they wait for one another make training several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    run(tandem, arguments)


if __name__ == "__main__":
    main()
