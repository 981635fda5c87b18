"""`tandem similar`: the items like an item, live or computed from the event log."""

import click
import grpc

from deploy.local.state import State
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_cli.options import connect, count_option, json_option, port_option, state_option
from tandem_cli.output import print_json, print_table
from tandem_client import TandemError

_MOST = 500
_NOT_HELD_LIVE = {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE}


@click.command()
@click.argument("item")
@click.option(
    "--method",
    default="",
    help="How items are compared: cosine, euclidean, pearson, dot, jaccard.  [default: what is "
    "served]",
)
@click.option(
    "--missing",
    default="",
    help="What a missing value counts as: zero, ignore, user_average, item_average, infinity.  "
    "[default: what is served]",
)
@count_option
@state_option
@port_option
@json_option
def similar(
    item: str,
    method: str,
    missing: str,
    count: int,
    state: State,
    port: int | None,
    as_json: bool,
) -> None:
    """The items nearest to ITEM.

    The running system answers what its release holds. With --method or --missing, anything else is
    computed from the event log of the state, also while the system is down.
    """
    if not 1 <= count <= _MOST:
        raise click.BadParameter(f"must be 1 to {_MOST}, is {count}", param_hint="-n")
    method, missing = _name(method), _name(missing)
    answer = _answer(item, method, missing, count, state, port)
    if as_json:
        return print_json(answer)
    source = f"release {answer.release_id}" if answer.release_id else "computed from the event log"
    print_table(
        ["item", "title", "score"],
        [[i.item_id, i.title, i.score] for i in answer.items],
        f"{answer.method}, missing {answer.missing}; {source}",
    )


def _name(text: str) -> str:
    return text.strip().lower().replace("-", "_")


def _answer(
    item: str, method: str, missing: str, count: int, state: State, port: int | None
) -> pb.SimilarItemsResponse:
    try:
        with connect(state, port) as client:
            return client.similar_items(item, count, method=method, missing=missing)
    except TandemError as error:
        if not (method or missing) or error.code not in _NOT_HELD_LIVE:
            raise
    from tandem_cli.similar_offline import similar_from_log  # needs scipy and pandas

    return similar_from_log(state, item, count, method, missing)
