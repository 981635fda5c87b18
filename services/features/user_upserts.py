"""Takes upserted users in: checked, then stored for good."""

from collections.abc import Sequence
from functools import partial

from services.features.async_log import AsyncEventLog
from services.features.batches import checked
from services.features.events import FieldError
from services.features.user_table import MAX_USERS, User, UserTable, validate_user


class UserUpserts:
    """Stores users; the next reader sees them."""

    def __init__(self, event_log: AsyncEventLog, table: UserTable) -> None:
        self._log = event_log
        self._table = table

    async def upsert(self, users: Sequence[User]) -> list[tuple[int, FieldError]]:
        """Stores the good users; returns, when they are durable, why the others are refused.

        Raises:
            InvalidArgument: no users, more than `MAX_USERS`, or not one that is valid.
            Unavailable: the database is down; users may or may not have been stored.
        """
        found = checked("users", users, MAX_USERS, validate_user)
        await self._log.write(partial(self._table.upsert, found.good))
        return found.errors
