"""What a training job learns from besides files."""

import numpy as np
import pandas as pd

from services.common.live_items import LiveItem
from training.data import InteractionData, assemble, empty_items, empty_users, item_table
from training.job import with_live_items


def log_of(*item_ids: str) -> InteractionData:
    """One user's clicks."""
    events = pd.DataFrame({"user_id": "u", "item_id": item_ids, "kind": 3, "value": 0.0})
    events = events.assign(timestamp=np.arange(len(events)), region="")
    return assemble(events, empty_items(), empty_users())


def test_upserted_items_join_the_files_items_and_win_over_them() -> None:
    data = log_of("a", "b")
    live = [
        LiveItem("b", "B", ("Drama", "War"), 1999, adult=True, available=False, seq=0),
        LiveItem("c", "C", creators=("Ann",), available_from=5.0, available_until=9.0, seq=1),
    ]
    items = with_live_items(data.items, live)
    table = item_table(assemble(data.events, items, empty_users()))
    assert sorted(table.ids.tolist()) == ["a", "b", "c"]
    row = table.row_of["b"]
    assert (table.titles[row], table.genres[row], table.years[row]) == ("B", ("Drama", "War"), 1999)
    assert table.adult[row] and not table.available[row]
    assert table.genres[table.row_of["c"]] == () and table.available[table.row_of["c"]]
    assert [table.creators[table.row_of[name]] for name in "abc"] == [(), (), ("Ann",)]
    rows = table.rows(["a", "b", "c"])
    assert table.available_from[rows].tolist() == [0.0, 0.0, 5.0]
    assert table.available_until[rows].tolist() == [np.inf, np.inf, 9.0]
    assert items["year"].dtype == np.int16 and items["available"].dtype == np.bool_


def test_without_upserts_the_items_are_the_files_own() -> None:
    data = log_of("a")
    assert with_live_items(data.items, []) is data.items
