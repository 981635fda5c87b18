"""`tandem rules`: show, set, check and try what slates are made by."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from deploy.local.state import State
from services.orchestrator.rules import Rules
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_cli.options import connect, json_option, port_option, state_option
from tandem_cli.output import print_json, print_table
from tandem_cli.rules_files import in_the_file, read_rules, read_text

_CHANGES_SHOWN = 20
_ITEMS_SHOWN = 5

_file_argument = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def rules() -> None:
    """The rules that slates are made by; docs/rules.md explains them."""


@rules.command()
@state_option
@port_option
@json_option
def show(state: State, port: int | None, as_json: bool) -> None:
    """Prints the rules that hold, as YAML."""
    with connect(state, port) as client:
        answer = client.get_rules()
    if as_json:
        return print_json(answer)
    print(answer.rules.removesuffix("\n") or "# no rules")
    _warn(answer.warnings)


@rules.command("set")
@_file_argument
@state_option
@port_option
@json_option
def set_(file: Path, state: State, port: int | None, as_json: bool) -> None:
    """Has the rules of FILE hold instead of all there are, from the next request on."""
    text = read_text(file)
    with connect(state, port) as client, in_the_file(file):
        answer = client.set_rules(text)
    if as_json:
        return print_json(answer)
    print(f"rules {answer.digest} hold")
    _warn(answer.warnings)


@rules.command()
@_file_argument
@state_option
@port_option
@json_option
def check(file: Path, state: State, port: int | None, as_json: bool) -> None:
    """Checks the rules of FILE, and says what is in it. Needs no running system."""
    found = read_rules(file)
    if as_json:
        return print_json(_plain(found))
    rows = _told(found)
    print(f"{file}: valid{'' if rows else ', no rules'}")
    if rows:
        print_table(["rule", "what it says"], rows)


@rules.command("try")
@_file_argument
@click.option(
    "--requests",
    type=click.IntRange(1, 10_000),
    default=1_000,
    show_default=True,
    help="How many of the last requests.",
)
@state_option
@port_option
@json_option
def try_(file: Path, requests: int, state: State, port: int | None, as_json: bool) -> None:
    """What the rules of FILE would change in the slates last served. Changes nothing."""
    text = read_text(file)
    with connect(state, port) as client, in_the_file(file):
        answer = client.try_rules(text, requests)
    if as_json:
        return print_json(answer)
    print(
        f"users changed   {answer.changed_users} of {answer.users}\n"
        f"slates changed  {len(answer.changed)} of {answer.requests}"
        f"{f', {answer.skipped} more could not be tried' if answer.skipped else ''}\n"
        f"items kept      {answer.kept_share:.1%}"
    )
    _print_changes(answer.changed)


def _print_changes(changed: Sequence[pb.ChangedSlate]) -> None:
    if not changed:
        return
    shown = changed[:_CHANGES_SHOWN]
    print_table(
        ["request", "user", "coming in", "going", "moved"],
        [[c.request_id, c.user_id, _some(c.entering), _some(c.leaving), c.moved] for c in shown],
        f"{len(shown)} of {len(changed)} slates that would change",
    )


def _some(items: Sequence[str]) -> str:
    more = len(items) - _ITEMS_SHOWN
    return ", ".join(items[:_ITEMS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _plain(found: Rules) -> dict[str, Any]:
    plain: dict[str, Any] = found.model_dump(mode="json", exclude_unset=True)
    return plain


def _told(found: Rules) -> list[list[str]]:
    """A row a rule, and one an entry where a rule is a list."""
    return [
        [name, _text(each)]
        for name, value in _plain(found).items()
        for each in (value if isinstance(value, list) else [value])
    ]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name} {_text(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "yes" if value is True else "no" if value is False else str(value)
