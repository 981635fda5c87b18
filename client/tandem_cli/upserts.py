"""`tandem upsert-items`: items of a file into the running system."""

from collections.abc import Iterator
from pathlib import Path

import click
import pandas as pd

from deploy.local.state import State
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_cli.options import connect, json_option, port_option, state_option
from tandem_cli.output import print_json
from tandem_client import item

_ITEMS_A_CALL = 1_000
_FACTS = ("year", "adult", "available")


@click.command("upsert-items")
@click.argument("file", type=click.Path(path_type=Path))
@state_option
@port_option
@json_option
def upsert_items(file: Path, state: State, port: int | None, as_json: bool) -> None:
    """Adds the items of FILE (items.csv or .parquet), or changes what is known of them."""
    from training.readers import read_items  # pyarrow and pandas are slow to import

    total = pb.UpsertItemsResponse()
    with connect(state, port) as client:
        for first, items in _calls(read_items(file)):
            answer = client.upsert_items(items)
            total.accepted += answer.accepted
            for error in answer.errors:
                error.index += first
            total.errors.extend(answer.errors)
    if as_json:
        return print_json(total)
    print(f"accepted {total.accepted}, refused {len(total.errors)}")
    for error in total.errors:
        print(f"item {error.index + 1}: {error.field}: {error.reason}")


def _calls(table: pd.DataFrame) -> Iterator[tuple[int, list[pb.Item]]]:
    """The items in parts, each with the position of its first."""
    columns = (table[name].tolist() for name in ("item_id", "title", "genres", *_FACTS))
    items = [
        item(item_id, title=title, genres=genres, year=year, adult=adult, available=available)
        for item_id, title, genres, year, adult, available in zip(*columns, strict=True)
    ]
    for first in range(0, len(items), _ITEMS_A_CALL):
        yield first, items[first : first + _ITEMS_A_CALL]
