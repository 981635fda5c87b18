"""`tandem delete-user`: erases a user."""

import click

from deploy.local.state import State
from tandem_cli.options import connect, json_option, port_option, state_option
from tandem_cli.output import print_json


@click.command("delete-user")
@click.argument("user")
@state_option
@port_option
@json_option
def delete_user(user: str, state: State, port: int | None, as_json: bool) -> None:
    """Erases USER: events, features, stored recommendations, logged slates.

    For good. Events recorded later are a new user's.
    """
    with connect(state, port) as client:
        gone = client.delete_user(user)
    if as_json:
        return print_json(gone)
    print(f"erased {gone.events} events, {gone.stored_lists} stored lists, {gone.slates} slates")
