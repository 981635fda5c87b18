"""Files of rules: read, checked, and faults named by file and line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from models.errors import ReportedError
from services.orchestrator.rules import Rules
from services.orchestrator.rules_yaml import RulesError, parse_rules
from tandem_client import TandemError

_PREFIX = "rules:"


class RulesFileError(ReportedError):
    """A file does not hold rules; the text is `FILE:LINE: field: reason`."""


def read_text(file: Path) -> str:
    """What is in a file.

    Raises:
        RulesFileError: it is not UTF-8.
        OSError: it cannot be read.
    """
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise RulesFileError(f"{file}:1: not UTF-8: {error.reason}") from None


def read_rules(file: Path) -> Rules:
    """The rules in a file; needs no running system.

    Raises:
        RulesFileError: they are not valid.
        OSError: the file cannot be read.
    """
    text = read_text(file)
    try:
        return parse_rules(text)
    except RulesError as error:
        raise RulesFileError(f"{file}:{error.line}: {error.reason}") from None


@contextmanager
def in_the_file(file: Path | None) -> Iterator[None]:
    """Turns a fault that the system found in rules of a file into one of the file.

    Raises:
        RulesFileError: the system refused the rules.
    """
    try:
        yield
    except TandemError as error:
        refused = error.code == grpc.StatusCode.INVALID_ARGUMENT
        if file is None or not refused or not error.details.startswith(_PREFIX):
            raise
        raise RulesFileError(f"{file}:{error.details.removeprefix(_PREFIX)}") from None
