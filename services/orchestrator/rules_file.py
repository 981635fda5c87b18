"""The rules that hold: read from a file, followed when it changes, archived by their digest."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError

from services.common.errors import FailedPrecondition
from services.orchestrator.rules import Promotion
from services.orchestrator.rules_archive import RulesArchive
from services.orchestrator.rules_yaml import NO_RULES, ActiveRules, RulesError

REFUSED = Counter("tandem_orchestrator_rules_refused", "Changes of the rules that were refused.")
HOLDS = Gauge("tandem_orchestrator_rules_file_holds", "1 while the rules of the file are in use.")

_POLL_SECONDS = 0.5

log = logging.getLogger(__name__)


async def _nothing(_: Sequence[Promotion]) -> None:
    pass


class RulesFile:
    """Holds the rules of a file, and follows it: a change is read when, for half a second, no other
    has come. A file that is being written, or that an editor takes away to put another in its
    place, is neither half the rules nor none.

    A file that is not valid changes nothing: the rules before it stay, and the log says why. No
    file means no rules.

    Args:
        path: the file; need not exist.
        archive: keeps each text that was in use.
        about_to_hold: told of promotions before they hold.
        poll_seconds: how often the file is looked at.
    """

    def __init__(
        self,
        path: Path,
        archive: RulesArchive,
        about_to_hold: Callable[[Sequence[Promotion]], Awaitable[None]] = _nothing,
        poll_seconds: float = _POLL_SECONDS,
    ) -> None:
        self._path = path
        self._archive = archive
        self._about_to_hold = about_to_hold
        self._poll_seconds = poll_seconds
        self._active = NO_RULES
        self._seen: object = None
        self._noticed: object = None
        self._changing = asyncio.Lock()
        self._follower: asyncio.Task[None] | None = None

    def current(self) -> ActiveRules:
        """The rules that hold for a request that comes now."""
        return self._active

    async def start(self) -> None:
        """Reads the file, and begins to follow it.

        Raises:
            FailedPrecondition: it cannot be read, or is not valid; there are no old rules to keep.
        """
        await self._use(self._active)
        try:
            await self._read()
        except RulesError as error:
            raise FailedPrecondition(self._told(error)) from None
        except OSError as error:
            raise FailedPrecondition(f"{self._path}: {error.strerror}") from None
        self._follower = asyncio.create_task(self._follow())

    async def close(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)

    async def set(self, text: str) -> ActiveRules:
        """Writes valid rules to the file, whole or not at all; they hold from the next request on.

        Raises:
            RulesError: they are not valid; nothing changes.
            FailedPrecondition: the file cannot be written.
        """
        new = ActiveRules.of(text)
        async with self._changing:
            try:
                await asyncio.to_thread(self._write, text)
            except OSError as error:
                raise FailedPrecondition(
                    f"{self._path}: {error.strerror}; change the file where it comes from"
                ) from None
            self._seen = _stamp(self._path)
            await self._use(new)
        return new

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                async with self._changing:
                    if self._has_settled():
                        await self._read()
            except RulesError as error:
                self._refuse(self._told(error))
            except OSError as error:
                self._refuse(f"{self._path}: {error.strerror}")
            except Exception:  # a task that ended would hold old rules for good
                log.exception("rules not read")

    def _has_settled(self) -> bool:
        """Whether the file is as it was at the last look."""
        before, self._noticed = self._noticed, _stamp(self._path)
        return before == self._noticed

    async def _read(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        text = "" if stamp is None else await asyncio.to_thread(_text, self._path)
        new = ActiveRules.of(text)
        if new.text != self._active.text:
            await self._use(new)
        HOLDS.set(1)

    async def _use(self, new: ActiveRules) -> None:
        with suppress(SQLAlchemyError):  # replays of what they made say that they are not known
            await asyncio.to_thread(self._archive.put, new.digest, new.text)
        await self._about_to_hold(new.rules.promote)
        self._active = new
        HOLDS.set(1)
        log.info("rules", extra={"digest": new.digest})

    def _refuse(self, why: str) -> None:
        REFUSED.inc()
        HOLDS.set(0)
        log.error("rules refused; the old ones stay", extra={"why": why})

    def _told(self, error: RulesError) -> str:
        return f"{self._path}:{error.line}: {error.reason}"

    def _write(self, text: str) -> None:
        new = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            with new.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        finally:
            new.unlink(missing_ok=True)


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Differs when the file was changed, replaced or made readable; None without a file."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise RulesError(1, "", f"not UTF-8: {error.reason}") from None
