"""Entry point of `tandem`: finds the command, and turns every failure into one line."""

import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence

import click

from models.errors import ReportedError
from tandem_client import TandemError

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
    # As Ctrl-C does: what a command has begun is put in order, and a lease given back.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    try:
        tandem(args=arguments, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except (TandemError, ReportedError) as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), 1)
    except Exception as error:
        if not type(error).__module__.startswith("sqlalchemy."):
            raise
        _fail(f"database: {str(error).splitlines()[0]}", 1)


def _fail(text: str, status: int) -> None:
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
