"""`tandem upsert-items`: items of a file into the running system."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import click
import grpc
import pandas as pd

from deploy.local.state import State
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_cli.options import connect, json_option, port_option, state_option
from tandem_cli.output import print_json
from tandem_client import TandemError, item

_ITEMS_A_CALL = 1_000


@click.command("upsert-items")
@click.argument("file", type=click.Path(path_type=Path))
@state_option
@port_option
@json_option
def upsert_items(file: Path, state: State, port: int | None, as_json: bool) -> None:
    """Adds the items of FILE (items.csv or .parquet), or changes what is known of them.

    Ends at the first thousand that is refused as a whole, and says what was taken before.
    """
    from training.readers import read_items  # pyarrow and pandas are slow to import

    total, failure = pb.UpsertItemsResponse(), ""
    with connect(state, port) as client:
        for first, items in _calls(read_items(file)):
            try:
                answer = client.upsert_items(items)
            except TandemError as error:
                failure = _in_the_file(error, first, len(items), total.accepted)
                break
            total.accepted += answer.accepted
            for refused in answer.errors:
                refused.index += first
            total.errors.extend(answer.errors)
    if as_json:
        print_json(total)
    else:
        _print_report(total)
    if failure:
        raise click.ClickException(failure)


def _in_the_file(error: TandemError, first: int, count: int, accepted: int) -> str:
    """What a failed call means, with positions in the file, from 1."""
    why = str(error)
    if error.code == grpc.StatusCode.INVALID_ARGUMENT:
        why = re.sub(
            r"^items\[(\d+)\]\.", lambda m: f"item {first + int(m[1]) + 1}: ", error.details
        )
    return f"items {first + 1} to {first + count} not accepted, {accepted} before were: {why}"


def _print_report(total: pb.UpsertItemsResponse) -> None:
    print(f"accepted {total.accepted}, refused {len(total.errors)}")
    for error in total.errors:
        print(f"item {error.index + 1}: {error.field}: {error.reason}")


def _calls(table: pd.DataFrame) -> Iterator[tuple[int, list[pb.Item]]]:
    """The items in parts, each with the position of its first."""
    items = [
        item(
            row["item_id"],
            title=row["title"],
            genres=row["genres"],
            year=row["year"],
            adult=row["adult"],
            available=row["available"],
            creators=row["creators"],
            available_from=row["available_from"] or None,
            available_until=None if math.isinf(row["available_until"]) else row["available_until"],
        )
        for row in table.to_dict("records")
    ]
    for first in range(0, len(items), _ITEMS_A_CALL):
        yield first, items[first : first + _ITEMS_A_CALL]
