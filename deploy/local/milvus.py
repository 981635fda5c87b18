"""Becomes the Milvus Lite server: `python -m deploy.local.milvus --db FILE --address HOST:PORT`.

The process replaces itself with the C++ server, so that a supervisor's signals and restarts reach
the server itself. Milvus Lite's own Python wrapper leaves an orphan behind when it is killed.
"""

import fcntl
import importlib.util
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_LONGEST_NAME = 36
"""Characters; the server refuses longer file names."""


class MilvusError(Exception):
    """The server cannot be started; the text says why."""


@dataclass(frozen=True)
class ServerCommand:
    """What to execute: the program's arguments, the program first, and its environment."""

    arguments: Sequence[str]
    environment: dict[str, str]


def server_command(database: Path, address: str, log_level: str) -> ServerCommand:
    """The command that serves a database file.

    Args:
        database: the file; made by the server when it does not exist. Its folder must exist.
        address: `host:port` to listen on.
        log_level: one of `LOG_LEVELS`.

    Raises:
        MilvusError: the file's name or folder will not do, or Milvus Lite is not installed.
    """
    if len(database.name) > _LONGEST_NAME or not re.fullmatch(r"[A-Za-z0-9._-]+", database.name):
        raise MilvusError(
            f"{database}: the file name must be 1 to {_LONGEST_NAME} "
            "letters, digits, dots, dashes or underscores"
        )
    if not database.parent.is_dir():
        raise MilvusError(f"{database.parent}: no such folder")
    if not re.fullmatch(r".+:\d{1,5}", address):
        raise MilvusError(f"{address}: the address must be HOST:PORT")
    library = _library_folder()
    inherited = os.environ.get("LD_LIBRARY_PATH")
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{library}:{inherited}" if inherited else str(library),
        # Else its logging library leaves files in the temporary folder.
        "GLOG_logtostderr": "1",
        "GLOG_minloglevel": str(max(0, LOG_LEVELS.index(log_level) - 1)),
    }
    arguments = [str(library / "milvus"), str(database.resolve()), address, log_level]
    return ServerCommand(arguments, environment)


def hold_lock(database: Path) -> None:
    """Takes the file's lock for the life of this process, whatever program it becomes.

    Two servers on one file would damage it; the server itself does not check.

    Raises:
        MilvusError: another process holds the lock.
    """
    lock = database.with_name(f".{database.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise MilvusError(f"{database}: another process serves this file") from None
    os.set_inheritable(descriptor, True)


def _library_folder() -> Path:
    # Found, not imported: importing the package drags in the deprecated pkg_resources.
    spec = importlib.util.find_spec("milvus_lite")
    for folder in (spec and spec.submodule_search_locations) or ():
        library = Path(folder) / "lib"
        if (library / "milvus").is_file():
            return library
    raise MilvusError("milvus-lite 2.5.1 is not installed")


@click.command()
@click.option("--db", "database", type=click.Path(path_type=Path), required=True, help="The file.")
@click.option("--address", required=True, help="HOST:PORT to listen on.")
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    default="ERROR",
    show_default=True,
)
def main(database: Path, address: str, log_level: str) -> None:
    """Becomes the Milvus Lite server of one database file."""
    try:
        command = server_command(database, address, log_level)
        hold_lock(database)
    except MilvusError as error:
        raise click.ClickException(str(error)) from None
    os.execve(command.arguments[0], list(command.arguments), command.environment)


if __name__ == "__main__":
    main()
