"""What the commands of a training job share: their options, and failures as one line."""

import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from models.errors import ReportedError
from tandem_client import Client, TandemError

Activate = Callable[[str], bool]
"""Puts a release, by its id, into service; False when there is no system to do that now."""

database_option = click.option(
    "--database-url",
    envvar="TANDEM_DATABASE_URL",
    required=True,
    help="SQLAlchemy URL of the event log and the registry.",
)
root_option = click.option(
    "--release-root",
    envvar="TANDEM_RELEASE_ROOT",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the releases.",
)
orchestrator_option = click.option(
    "--orchestrator",
    envvar="TANDEM_ORCHESTRATOR",
    metavar="HOST:PORT",
    help="Activates the release; without it the next start of an orchestrator does.",
)
config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="TOML file of training settings; what it leaves out follows from the log's size.",
)
from_scratch_option = click.option(
    "--from-scratch",
    is_flag=True,
    help="Start the towers anew, not from those of the last release.",
)
no_activate_option = click.option(
    "--no-activate", is_flag=True, help="Only build; do not switch to the new release."
)


def activate_at(address: str | None) -> Activate:
    """Activates by the orchestrator at `host:port`, if there is one."""

    def activate(release_id: str) -> bool:
        if address is None:
            return False
        with Client(address) as client:
            client.activate_release(release_id)
        return True

    return activate


def run(command: click.Command, arguments: Sequence[str] | None = None) -> None:
    """Runs a command; every failure exits with one line on stderr and a status other than 0.

    SIGTERM is taken as Ctrl-C, so that what the command has begun is put in order.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    try:
        command(args=arguments, standalone_mode=False)
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
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(text: str, status: int) -> None:
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(status)
