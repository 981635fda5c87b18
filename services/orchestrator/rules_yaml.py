"""Rules from YAML; every fault is named by its line."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import yaml
from pydantic import ValidationError

from services.common.errors import InvalidArgument
from services.orchestrator.rules import Number, Rules

MAX_BYTES = 1 << 20
_PATHS_SHOWN = 60


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


class _Loader(yaml.SafeLoader):
    """Keeps the text of numbers: an unquoted item id is the id as it is written."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError, TypeError):  # a 13th month, `!!bool perhaps`
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"{str(node.value)[:_PATHS_SHOWN]!r} is no {kind}", node.start_mark
            ) from None


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
                if not isinstance(key, yaml.ScalarNode):
                    raise RulesError(key.start_mark.line + 1, "", "a name must be text")
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
        elif isinstance(node, yaml.SequenceNode) and step in range(len(node.value)):
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


NO_RULES = ActiveRules.of("")
"""What a system without a file of rules does."""
