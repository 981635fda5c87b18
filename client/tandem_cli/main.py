"""Entry point of `tandem`: gathers the commands, and turns every failure into one line."""

import logging
import sys
from collections.abc import Sequence

import click
from sqlalchemy.exc import SQLAlchemyError

from deploy.local.state import StateError
from models.release import ReleaseError
from services.common.errors import DomainError
from tandem_cli import calls, lifecycle, measure, releases, train
from tandem_client import TandemError
from training.data import DataError

_FAILURES = (TandemError, StateError, DataError, ReleaseError, DomainError)


@click.group()
def tandem() -> None:
    """Tandem: from an interaction log to a live two-stage recommender."""


for command in (
    *(lifecycle.up, lifecycle.down, lifecycle.status),
    *(train.train, releases.releases),
    *(calls.recommend, calls.similar, calls.event),
    *(measure.evaluate, measure.bench),
):
    tandem.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; exits with 0, or with one line on stderr and another status."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    try:
        tandem(args=arguments, standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except SQLAlchemyError as error:
        _fail(f"database: {str(error).splitlines()[0]}", 1)
    except OSError as error:
        _fail(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), 1)
    except _FAILURES as error:
        _fail(str(error), 1)


def _fail(text: str, status: int) -> None:
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
