"""Takes upserted items in: checked, then stored in the table that all services follow."""

import math
from collections.abc import Sequence
from functools import partial

from services.common.live_items import LiveItem, LiveItemTable
from services.features.async_log import AsyncEventLog
from services.features.batches import checked
from services.features.events import FieldError, check_id
from services.features.release_rows import ItemMetadata

MAX_ITEMS = 1_000
MAX_TITLE_LENGTH = 1_000
MAX_NAMES = 64
MAX_NAME_LENGTH = 128
MAX_YEAR = 9_999
MAX_TIME = 253_402_300_799
"""The end of the year 9999, where protobuf's timestamps end."""


class ItemUpserts:
    """Stores items, and lays what is stored over what a release says."""

    def __init__(self, event_log: AsyncEventLog, table: LiveItemTable) -> None:
        self._log = event_log
        self._table = table

    async def upsert(self, items: Sequence[LiveItem]) -> list[tuple[int, FieldError]]:
        """Stores the good items; returns, when they are durable, why the others are refused.

        Raises:
            InvalidArgument: no items, more than `MAX_ITEMS`, or not one that is valid.
            FailedPrecondition: the table is full.
            Unavailable: the database is down; items may or may not have been stored.
        """
        found = checked("items", items, MAX_ITEMS, validate)
        await self._log.write(partial(self._table.upsert, found.good))
        return found.errors

    async def laid_over(
        self, item_ids: Sequence[str], stored: Sequence[ItemMetadata]
    ) -> list[ItemMetadata]:
        """Metadata of items in the order asked for, the upserted one before the release's.

        An item that only the table knows has no vector.

        Raises:
            Unavailable: the database is down.
        """
        by_id = {item.item_id: item for item in stored}
        live = await self._log.read(partial(self._table.read, item_ids))
        for item_id, item in live.items():
            vector = by_id[item_id].vector if item_id in by_id else ()
            by_id[item_id] = ItemMetadata(
                item_id, item.title, item.genres, item.year, item.adult, vector
            )
        return [by_id[item_id] for item_id in item_ids if item_id in by_id]


def validate(item: LiveItem) -> FieldError | None:
    """The first rule that an item breaks, in the order of the message's fields."""
    return (
        check_id("item_id", item.item_id)
        or _check_length("title", item.title, MAX_TITLE_LENGTH)
        or _check_names("genres", item.genres)
        or _check_year(item.year)
        or _check_names("creators", item.creators)
        or _check_time("available_from", item.available_from)
        or _check_time("available_until", item.available_until)
        or _check_window(item)
    )


def _check_length(field: str, value: str, longest: int) -> FieldError | None:
    if len(value) > longest:
        return FieldError(field, f"has {len(value)} characters, at most {longest} are allowed")
    return FieldError(field, "has a null character") if "\0" in value else None


def _check_names(field: str, names: Sequence[str]) -> FieldError | None:
    if len(names) > MAX_NAMES:
        return FieldError(field, f"holds {len(names)}, at most {MAX_NAMES} are allowed")
    if "" in names:
        return FieldError(field, "holds an empty one")
    return next(filter(None, (_check_length(field, name, MAX_NAME_LENGTH) for name in names)), None)


def _check_year(year: int) -> FieldError | None:
    if 0 <= year <= MAX_YEAR:
        return None
    return FieldError("year", f"must be between 0 and {MAX_YEAR}, is {year}")


def _check_time(field: str, time: float) -> FieldError | None:
    if not (math.isfinite(time) and time <= MAX_TIME):
        return FieldError(field, "is not a valid time")
    return FieldError(field, "lies before 1970") if time < 0 else None


def _check_window(item: LiveItem) -> FieldError | None:
    if item.available_from < item.end:
        return None
    return FieldError("available_until", "is not later than available_from")
