"""`tandem recommend` and `event`: the public API from the shell."""

from typing import cast

import click

from deploy.local.state import State
from models.events import EventKind
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_cli.options import connect, count_option, json_option, port_option, state_option
from tandem_cli.output import print_json, print_table
from tandem_cli.slate_tables import print_dropped, print_slate
from tandem_client import event as make_event


@click.command()
@click.argument("user")
@count_option
@click.option("--explain", is_flag=True, help="Show what every stage did.")
@click.option("--age", type=click.IntRange(0, 150), default=0, help="Age of who watches, in years.")
@state_option
@port_option
@json_option
def recommend(
    user: str, count: int, explain: bool, age: int, state: State, port: int | None, as_json: bool
) -> None:
    """The best items for USER now."""
    _check_count(count)
    with connect(state, port) as client:
        answer = client.recommend(user, count, explain=explain, age=age)
    if as_json:
        return print_json(answer)
    millis = "  ".join(f"{name} {ms:.1f} ms" for name, ms in answer.stage_millis.items())
    caption = (
        f"{pb.Level.Name(answer.level)}  release {answer.release_id}\n"
        f"request {answer.request_id}\n{millis}"
    )
    if explain:
        print_slate(answer.items, answer.trace, caption, chances=False)
        print_dropped(answer.trace)
        _print_parts(answer)
        _print_trace(answer.trace)
    else:
        print_table(
            ["item", "title", "score", "sources"],
            [[i.item_id, i.title, i.score, ", ".join(i.sources)] for i in answer.items],
            caption,
        )


def _print_parts(answer: pb.RecommendResponse) -> None:
    names = sorted({name for item in answer.items for name in item.parts})
    if names:
        print_table(
            ["item", *names],
            [[i.item_id, *(i.parts.get(name, 0.0) for name in names)] for i in answer.items],
            "what each part adds to the score before the prediction",
        )


def _print_trace(trace: pb.Trace) -> None:
    print_table(
        ["stage", "component", "in", "out", "ms", "error"],
        [[s.stage, s.component, s.rows_in, s.rows_out, s.millis, s.error] for s in trace.stages],
    )


@click.command()
@click.argument("user")
@click.argument("item")
@click.argument("kind")
@click.option("--value", type=float, default=0.0, help="Stars of a rating, hours of a watch.")
@click.option("--region", default="", help="Region code.")
@state_option
@port_option
@json_option
def event(
    user: str,
    item: str,
    kind: str,
    value: float,
    region: str,
    state: State,
    port: int | None,
    as_json: bool,
) -> None:
    """Records that USER did KIND (click, like, rating, ...) to ITEM."""
    try:
        number = EventKind.parse(kind).value
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="KIND") from None
    sent = make_event(user, item, cast(pb.EventKind, number), value=value, region=region)
    with connect(state, port) as client:
        answer = client.record([sent])
    if as_json:
        return print_json(answer)
    print(f"accepted {answer.accepted}, duplicates {answer.duplicates}  event {sent.event_id}")


def _check_count(count: int) -> None:
    if count < 0:  # the message carries an unsigned number; the server checks the rest
        raise click.BadParameter(f"must be 1 to 500, is {count}", param_hint="-n")
