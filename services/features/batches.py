"""Requests of many rows: good rows are taken, bad ones named. One rule for events and upserts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.common.errors import InvalidArgument
from services.features.events import FieldError

R = TypeVar("R")


@dataclass(frozen=True)
class Checked(Generic[R]):
    """Rows of a request that keep all rules, and those that do not, by position."""

    good: list[R]
    errors: list[tuple[int, FieldError]]


def checked(
    field: str, rows: Sequence[R], most: int, check: Callable[[R], FieldError | None]
) -> Checked[R]:
    """Tells the good rows of a request from the bad ones.

    Raises:
        InvalidArgument: no rows, more than `most`, or not one that is good.
    """
    if not 0 < len(rows) <= most:
        raise InvalidArgument(field, f"1 to {most:,} are allowed, not {len(rows):,}")
    found = [(row, check(row)) for row in rows]
    errors = [(index, error) for index, (_, error) in enumerate(found) if error]
    good = [row for row, error in found if error is None]
    if not good:
        _, first = errors[0]
        raise InvalidArgument(f"{field}[0].{first.field}", first.reason)
    return Checked(good, errors)
