"""Logs are put together by time, whatever form their ids come in."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.repeats import repeated
from models.text_codes import TextCodes
from training.data import assemble, concatenated, empty_items, empty_users, merge
from training.sequences import event_sequences
from training.supplements import repeats

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["u", "v", "007"]),
        st.sampled_from(["1", "01", "i"]),
        st.integers(1, 4),
        st.sampled_from([0.0, -0.0, 2.5]),
        st.integers(0, 5).map(float),
        st.sampled_from(["", "north"]),
    ),
    min_size=1,
    max_size=30,
)
TEXTS = ["user_id", "item_id", "region"]


def frame(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    columns = ["user_id", "item_id", "kind", "value", "timestamp", "region"]
    return pd.DataFrame(rows, columns=columns).astype({"kind": "int8", **dict.fromkeys(TEXTS, "O")})


@given(EVENTS)
def test_categorical_ids_give_the_log_that_strings_give(rows: list[tuple[object, ...]]) -> None:
    events = frame(rows)
    strings = assemble(events, empty_items(), empty_users())
    numbers = assemble(
        events.astype(dict.fromkeys(TEXTS, "category")), empty_items(), empty_users()
    )
    pd.testing.assert_frame_equal(numbers.events, strings.events)
    expected = events.sort_values("timestamp", kind="stable", ignore_index=True)
    for name in TEXTS:
        assert numbers.events[name].tolist() == expected[name].tolist()
    assert numbers.users["user_id"].tolist() == list(expected["user_id"].unique())


@given(EVENTS, EVENTS)
def test_a_merged_log_is_that_of_both_frames(
    first: list[tuple[object, ...]], second: list[tuple[object, ...]]
) -> None:
    data = assemble(frame(first), empty_items(), empty_users())
    merged = merge(data, frame(second))
    together = pd.concat([data.events.astype(dict.fromkeys(TEXTS, "O")), frame(second)])
    expected = together.sort_values("timestamp", kind="stable", ignore_index=True)
    for name in merged.events.columns:
        assert merged.events[name].tolist() == expected[name].tolist()
    assert merged.events.dtypes["value"] == np.float32


@given(EVENTS)
def test_sequences_are_each_users_events_in_order(rows: list[tuple[object, ...]]) -> None:
    data = assemble(frame(rows), empty_items(), empty_users())
    log = event_sequences(data)
    for user, user_id in enumerate(data.users["user_id"]):
        own = data.events[data.events["user_id"] == user_id]
        part = slice(log.offsets[user], log.offsets[user + 1])
        assert data.items["item_id"].iloc[log.rows[part]].tolist() == own["item_id"].tolist()
        assert log.times[part].tolist() == own["timestamp"].tolist()
        names = [log.region_names[code] for code in log.regions[part]]
        assert names == own["region"].tolist()


@given(EVENTS)
def test_repeats_are_what_pandas_calls_duplicates(rows: list[tuple[object, ...]]) -> None:
    events = concatenated([frame(rows), frame(rows[:2])])
    assert repeats(events).tolist() == events.astype(object).duplicated().tolist()


@pytest.mark.parametrize(
    ("keys", "twins"),
    [([], []), ([5], [False]), ([5, 2, 5, 5, 7], [True, False, True, True, False])],
)
def test_repeated_keys_are_found_with_their_twins(keys: list[int], twins: list[bool]) -> None:
    assert repeated(np.array(keys, dtype=np.uint64)).tolist() == twins


def test_texts_are_numbered_in_order_of_appearance_over_all_blocks() -> None:
    codes = TextCodes()
    blocks = [codes.encode(["b", "a", "b"]), codes.encode(iter([])), codes.encode(["c", "a"])]
    column = codes.categorical(np.concatenate(blocks))
    assert column.tolist() == ["b", "a", "b", "c", "a"]
    assert column.categories.tolist() == ["b", "a", "c"]
