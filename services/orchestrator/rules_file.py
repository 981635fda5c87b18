"""The rules that hold: read from a file, followed when it changes, archived by their digest."""

import asyncio
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import Counter, Gauge
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from services.common.errors import FailedPrecondition, InvalidArgument
from services.orchestrator.rules import Number, Rules
from services.orchestrator.rules_archive import RulesArchive

REFUSED = Counter("tandem_orchestrator_rules_refused", "Changes of the rules that were refused.")
HOLDS = Gauge("tandem_orchestrator_rules_file_holds", "1 while the rules of the file are in use.")

MAX_BYTES = 1 << 20
_POLL_SECONDS = 0.5
_PATHS_SHOWN = 60

log = logging.getLogger(__name__)


class RulesError(InvalidArgument):
    """Rules that are not valid. The text names line, field and reason.

    Attributes:
        line: from 1.
    """

    def __init__(self, line: int, field: str, reason: str) -> None:
        super().__init__(f"rules:{line}", f"{field}: {reason}" if field else reason)
        self.line = line


@dataclass(frozen=True)
class ActiveRules:
    """Rules, and the text they were read from.

    Attributes:
        rules: what it says.
        text: YAML.
        digest: of the text.
    """

    rules: Rules
    text: str
    digest: str

    @classmethod
    def of(cls, text: str) -> "ActiveRules":
        """Parses rules.

        Raises:
            RulesError: they are not valid.
        """
        return cls(parse_rules(text), text, blake2b(text.encode(), digest_size=16).hexdigest())



def parse_rules(text: str) -> Rules:
    """Rules from YAML.

    Raises:
        RulesError: the text is not YAML, or not rules; the first fault is named.
    """
    if len(text.encode()) > MAX_BYTES:
        raise RulesError(1, "", f"longer than {MAX_BYTES >> 20} MiB")
    try:
        root = yaml.compose(text, Loader=_Loader)
        _refuse_repetition(root)
        raw = _tuples(yaml.load(text, Loader=_Loader))  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise RulesError(mark.line + 1 if mark else 1, "", error.problem or "not YAML") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RulesError(1, "", f"not YAML: {error}".partition("\n")[0]) from None
    try:
        return Rules.model_validate({} if raw is None else raw)
    except ValidationError as error:
        first = error.errors()[0]
        path, reason = list(first["loc"]), _reason(first)
        raise RulesError(_line(root, path), _path(path), reason) from None


NO_RULES = ActiveRules.of("")
"""What a system without a file of rules does."""


class RulesFile:
    """Holds the rules of a file, and follows it: twice a second, a change is read.

    A file that is not valid changes nothing: the rules before it stay, and the log says why. No
    file means no rules.

    Args:
        path: the file; need not exist.
        archive: keeps each text that was in use.
        poll_seconds: how often the file is looked at.
    """

    def __init__(
        self, path: Path, archive: RulesArchive, poll_seconds: float = _POLL_SECONDS
    ) -> None:
        self._path = path
        self._archive = archive
        self._poll_seconds = poll_seconds
        self._active = NO_RULES
        self._seen: object = None
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
                    await self._read()
            except RulesError as error:
                self._refuse(self._told(error))
            except OSError as error:
                self._refuse(f"{self._path}: {error.strerror}")
            except Exception:  # a task that ended would hold old rules for good
                log.exception("rules not read")

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


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Differs when the file was changed or replaced; None without a file."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise RulesError(1, "", f"not UTF-8: {error.reason}") from None


class _Loader(yaml.SafeLoader):
    """Keeps the text of numbers: an unquoted item id is the id as it is written."""


def _number(loader: _Loader, node: yaml.ScalarNode) -> Number:
    return Number.of(loader.construct_yaml_int(node), str(node.value))


_Loader.add_constructor("tag:yaml.org,2002:int", _number)


def _refuse_repetition(root: yaml.Node | None) -> None:
    """Of keys, of which the loader would take the last and say nothing, and of parts by aliases, by
    which a short text can hold a long one."""
    waiting, known = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        if id(node) in known:
            raise RulesError(node.start_mark.line + 1, "", "is used by an alias; write it out")
        known.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]
            keys = set[str]()
            for key, _ in node.value:
                if key.value in keys:
                    raise RulesError(key.start_mark.line + 1, str(key.value), "is there twice")
                keys.add(str(key.value))


def _tuples(raw: Any) -> Any:
    """The same with tuples for lists: in strict validation they are not the same."""
    if isinstance(raw, list):
        return tuple(map(_tuples, raw))
    if isinstance(raw, dict):
        return {key: _tuples(value) for key, value in raw.items()}
    return raw


def _line(node: yaml.Node | None, path: list[Any]) -> int:
    """Line of the deepest part of a path that the text has, from 1."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in path:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    line, found = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            if step < len(node.value):
                found = node.value[step]
                line = found.start_mark.line + 1
        if found is None:
            continue  # a step that pydantic adds, of the kind that was tried
        node = found
    return line


def _path(path: list[Any]) -> str:
    return ".".join(map(str, path))[:_PATHS_SHOWN]


def _reason(error: Any) -> str:
    text = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return "no such rule"
    if error["type"] == "tuple_type":
        return "must be a list"
    if error["type"] in ("model_type", "dict_type"):
        return "must be a mapping of names to values"
    if error["type"] == "string_type":
        return f"must be text, is {error['input']!r}; write it in quotes"
    return text[:1].lower() + text[1:]
