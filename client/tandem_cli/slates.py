"""`tandem explain` and `tandem replay`: served slates, once more."""

from datetime import UTC
from pathlib import Path

import click

from deploy.local.state import State
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_cli.options import connect, json_option, port_option, state_option
from tandem_cli.output import print_json, print_table
from tandem_cli.rules_files import in_the_file, read_text
from tandem_cli.slate_tables import changes, print_candidates, print_dropped, print_slate


@click.command()
@click.argument("request_id")
@click.option("--all", "show_all", is_flag=True, help="Show every candidate, not the first 30.")
@state_option
@port_option
@json_option
def explain(request_id: str, show_all: bool, state: State, port: int | None, as_json: bool) -> None:
    """How the slate of REQUEST_ID came about, from the slate log."""
    with connect(state, port) as client:
        found = client.explain_slate(request_id)
    if as_json:
        return print_json(found)
    answer = found.response
    print_slate(answer.items, answer.trace, _caption(found))
    print_dropped(answer.trace)
    print_candidates(answer.trace, show_all)


def _caption(found: pb.ExplainSlateResponse) -> str:
    answer, asked = found.response, found.request
    served = found.served_at.ToDatetime(UTC)
    rules = answer.trace.rules_digest[:12] if found.rules else "none"
    return (
        f"user {asked.user_id}, {asked.count} asked for, at {served:%F %T} UTC\n"
        f"{pb.Level.Name(answer.level)}  release {answer.release_id}  rules {rules}"
    )


@click.command()
@click.argument("request_id")
@click.option("--release", "release_id", default="", help="Id of another release to use.")
@click.option(
    "--rules",
    "file",
    type=click.Path(path_type=Path),
    help="File of rules to use instead of those that held.",
)
@state_option
@port_option
@json_option
def replay(
    request_id: str,
    release_id: str,
    file: Path | None,
    state: State,
    port: int | None,
    as_json: bool,
) -> None:
    """Makes the slate of REQUEST_ID again, from what was known of the user then.

    By another release or by other rules when asked to. That the slates differ is no failure.
    """
    rules = None if file is None else read_text(file)
    with connect(state, port) as client, in_the_file(file):
        answer = client.replay_slate(request_id, release_id, rules)
    if as_json:
        return print_json(answer)
    print_table(
        ["place", "original", "score", "now", "score", "what changed"],
        changes(answer.original, answer.items),
        f"{'identical' if answer.identical else 'not identical'}\n"
        f"original  {pb.Level.Name(answer.original_level)}  release {answer.original_release_id}\n"
        f"now       {pb.Level.Name(answer.level)}  release {answer.release_id}",
    )
    print_dropped(answer.trace)
