"""A replica's copy of the live items, which follows the table."""

import logging
import threading

from sqlalchemy.exc import SQLAlchemyError

from services.common.live_items import LiveItem, LiveItemTable

POLL_SECONDS = 1.0
_LOG_EVERY = 60
"""Failed polls between two log lines."""

log = logging.getLogger(__name__)


class LiveItems:
    """All live items, by number, read again every second by a thread of its own.

    While the database is down the items stay as they were last read.

    Args:
        table: what to follow.
        seconds: between two polls.
    """

    def __init__(self, table: LiveItemTable, seconds: float = POLL_SECONDS) -> None:
        self._table = table
        self._seconds = seconds
        self._items: tuple[LiveItem, ...] = ()
        self._revision = 0
        self._failures = 0
        self._polling = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def current(self) -> tuple[LiveItem, ...]:
        """The items; an item's place is its number. The same object until something changes."""
        return self._items

    def start(self) -> None:
        """Reads the table, then follows it."""
        self.refresh()
        self._thread = threading.Thread(target=self._follow, name="live-items", daemon=True)
        self._thread.start()

    def refresh(self) -> bool:
        """Reads what changed by now; false when the database does not answer. Blocks."""
        with self._polling:
            try:
                changes = self._table.changes_since(self._revision)
            except SQLAlchemyError as error:
                if self._failures % _LOG_EVERY == 0:
                    log.warning(
                        "live items not read", extra={"reason": str(error).partition("\n")[0]}
                    )
                self._failures += 1
                return False
            self._failures = 0
            if changes:
                self._apply(changes)
        return True

    def close(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _apply(self, changes: list[LiveItem]) -> None:
        items = list(self._items)
        for item in changes:  # by number, and numbers have no gaps
            items[item.seq : item.seq + 1] = [item]
        self._revision = max(item.revision for item in changes)
        self._items = tuple(items)
        log.info("live items changed", extra={"changed": len(changes), "items": len(items)})

    def _follow(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self.refresh()
            except Exception:  # a thread that ended would leave the copy old for good
                log.exception("live items not read")
