"""Trends: decayed counts that no order, no passing of time and no restart changes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.popularity import SECONDS_A_DAY
from models.trending import HALF_LIVES_DAYS, LATE_SECONDS, TrendCounters

NOW = 1.7e9

Event = tuple[str, str, float]  # item, region, days before NOW

events = st.lists(
    st.tuples(
        st.sampled_from("abcdefgh"),
        st.sampled_from(["", "de", "fr"]),
        st.floats(0, 1_000).map(lambda days: round(days, 3)),
    ),
    min_size=1,
    max_size=40,
)


def add(counters: TrendCounters[str], log: list[Event]) -> None:
    times: NDArray[np.float64] = np.array([NOW - days * SECONDS_A_DAY for _, _, days in log])
    counters.add([item for item, _, _ in log], [region for _, region, _ in log], times)


def counted(log: list[Event], block: int = 7) -> TrendCounters[str]:
    counters: TrendCounters[str] = TrendCounters()
    for start in range(0, len(log), block):
        add(counters, log[start : start + block])
    return counters


def shares(counters: TrendCounters[str], half_life: float, region: str = "") -> dict[str, float]:
    trend = counters.top(half_life, 100, region)
    return dict(zip(trend.items, trend.shares.tolist(), strict=True))


def direct(log: list[Event], half_life: float, region: str = "") -> dict[str, float]:
    """Shares by the sum of 2 ** (-age / half-life), ages relative to the newest event of all."""
    newest = min(days for _, _, days in log)
    sums: dict[str, float] = {}
    for item, where, days in log:
        if region in ("", where):
            sums[item] = sums.get(item, 0.0) + 2.0 ** (-(days - newest) / half_life)
    total = sum(sums.values()) + 5.0
    return {item: count / total for item, count in sums.items() if count >= 1e-3}


@given(events, st.sampled_from(HALF_LIVES_DAYS), st.sampled_from(["", "de"]))
def test_shares_are_the_direct_sum_of_decayed_events(
    log: list[Event], half_life: float, region: str
) -> None:
    found = shares(counted(log), half_life, region)
    for item, share in direct(log, half_life, region).items():
        assert found.get(item, 0.0) == pytest.approx(share, rel=1e-5, abs=1e-3)
    assert set(found) <= {item for item, _, _ in log}


@given(events, st.randoms(use_true_random=False))
def test_neither_the_order_nor_the_blocks_of_events_matter(
    log: list[Event], random: object
) -> None:
    shuffled = log.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = counted(log), counted(shuffled, block=3)
    for half_life in HALF_LIVES_DAYS:
        assert shares(one, half_life) == pytest.approx(shares(other, half_life), rel=1e-5)
        assert one.top(half_life, 3).items == other.top(half_life, 3).items


def test_a_late_event_counts_what_it_would_have_counted_in_time() -> None:
    in_time: list[Event] = [("a", "de", 3.0), ("b", "de", 2.0), ("c", "", 0.0)]
    late: list[Event] = [in_time[2], in_time[1], in_time[0]]
    assert shares(counted(late, block=1), 2.0) == pytest.approx(shares(counted(in_time), 2.0))


def test_shares_do_not_change_when_landmarks_move() -> None:
    counters = counted([("a", "de", 300.0), ("a", "de", 300.0), ("b", "", 300.0)])
    for days in range(299, -1, -20):  # many times the 64 shortest half-lives
        add(counters, [("c", "de", float(days))])
    log: list[Event] = [("a", "de", 300.0)] * 2 + [("b", "", 300.0)]
    log += [("c", "de", float(days)) for days in range(299, -1, -20)]
    for half_life in HALF_LIVES_DAYS:
        for region in ("", "de"):
            expected = direct(log, half_life, region)
            assert shares(counters, half_life, region) == pytest.approx(expected, rel=1e-5)


def test_events_decades_apart_neither_overflow_nor_vanish() -> None:
    counters: TrendCounters[str] = TrendCounters()
    for time in (0.0, 1e9, 4e9):
        counters.add(["old" if time < 4e9 else "new"], ["de"], np.array([time]))
    for half_life in HALF_LIVES_DAYS:
        assert shares(counters, half_life) == {"new": pytest.approx(1 / 6)}


def test_shares_do_not_fade_with_time() -> None:
    long_ago = counted([("a", "", 9_000.0), ("b", "", 9_001.0)])
    today = counted([("a", "", 0.0), ("b", "", 1.0)])
    for half_life in HALF_LIVES_DAYS:
        assert shares(long_ago, half_life) == pytest.approx(shares(today, half_life), rel=1e-5)


def test_few_events_say_little() -> None:
    assert shares(counted([("a", "", 0.0)]), 2.0) == {"a": pytest.approx(1 / 6)}
    assert shares(counted([("a", "", 0.0)] * 95), 2.0) == {"a": pytest.approx(0.95)}


def test_a_region_counts_its_own_events_and_everywhere_counts_all() -> None:
    counters = counted([("a", "de", 0.0), ("b", "fr", 0.0), ("c", "", 0.0)])
    assert counters.top(2.0, 9).items == ["a", "b", "c"]
    assert counters.top(2.0, 9, "de").items == ["a"]
    assert counters.top(2.0, 9, "atlantis").items == []


def test_the_largest_come_first_and_ties_are_broken_by_key_also_at_the_cut() -> None:
    log: list[Event] = [(item, "", 0.0) for item in "zyxwvutsrq"] + [("m", "", 0.0)] * 2
    for order in (log, log[::-1]):
        assert counted(order).top(2.0, 4).items == ["m", "q", "r", "s"]
    assert counted(log).top(2.0, 0).items == []


def test_no_more_than_the_most_items_are_kept_and_they_are_the_largest() -> None:
    counters: TrendCounters[int] = TrendCounters(most_items=100)
    for start in range(0, 5_000, 50):
        crowd = list(range(1_000 + start, 1_050 + start))
        popular = [item for item in range(20) for _ in range(3)]
        counters.add(crowd + popular, ["de"] * 110, np.full(110, NOW + start))
    for region in ("", "de"):
        assert counters.top(14.0, 20, region).items == list(range(20))
        assert len(counters.top(14.0, 1_000, region).items) <= 125
    assert len(counters.dump()) < 100_000


def test_of_many_regions_the_ones_with_recent_events_are_kept() -> None:
    counters: TrendCounters[str] = TrendCounters(most_regions=3)
    for _ in range(4):
        add(counters, [("a", "busy", 1.0)] * 3 + [("a", "busier", 0.5)] * 5)
        add(counters, [("b", f"quiet {n}", 0.0) for n in range(30)])
    assert counters.top(2.0, 5, "busy").items == ["a"]
    assert counters.top(2.0, 5, "busier").items == ["a"]
    assert sum(bool(counters.top(2.0, 5, f"quiet {n}").items) for n in range(30)) <= 1


@given(events)
def test_what_was_dumped_is_loaded_and_counts_on(log: list[Event]) -> None:
    half = len(log) // 2
    counters: TrendCounters[str] = TrendCounters()
    counters.load(counted(log[:half]).dump())
    add(counters, log[half:])
    whole = counted(log)
    assert counters.newest == whole.newest
    for half_life in HALF_LIVES_DAYS:
        for region in ("", "de"):
            expected = shares(whole, half_life, region)
            assert shares(counters, half_life, region) == pytest.approx(expected, rel=1e-5)


def test_a_copy_goes_on_separately() -> None:
    counters = counted([("a", "de", 1.0)])
    copied = counters.copy()
    assert copied.dump() == counters.dump()
    add(counters, [("b", "de", 0.0)])
    assert copied.top(2.0, 5, "de").items == ["a"]
    assert counters.top(2.0, 5, "de").items == ["b", "a"]


def test_keys_may_be_numbers_and_any_text() -> None:
    numbers: TrendCounters[int] = TrendCounters()
    numbers.add([7, 3, 7], ["", "de", ""], np.full(3, NOW))
    again: TrendCounters[int] = TrendCounters()
    again.load(numbers.dump())
    assert again.top(2.0, 5).items == [7, 3]
    text = counted([("ü/☃ \\n \"'", "dé\n", 0.0)])
    copied: TrendCounters[str] = TrendCounters()
    copied.load(text.dump())
    assert copied.top(2.0, 5, "dé\n").items == ["ü/☃ \\n \"'"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda dumped: b"",
        lambda dumped: b"no JSON\n",
        lambda dumped: b"{}\n",
        lambda dumped: dumped[:-1],
        lambda dumped: dumped[: len(dumped) // 2],
        lambda dumped: dumped.replace(b"0.25", b"0.75", 1),
    ],
)
def test_what_is_damaged_is_refused_and_changes_nothing(
    damage: Callable[[bytes], bytes],
) -> None:
    counters = counted([("a", "de", 0.0), ("b", "", 3.0)])
    dumped = counters.dump()
    with pytest.raises(ValueError):
        counters.load(damage(dumped))
    assert counters.dump() == dumped


def test_counters_know_nothing_of_a_moment_long_before_their_newest_event() -> None:
    counters: TrendCounters[str] = TrendCounters()
    assert counters.knows(0.0)
    add(counters, [("a", "", 0.0)])
    assert counters.knows(NOW + 1e9)
    assert counters.knows(NOW - LATE_SECONDS)
    assert not counters.knows(NOW - LATE_SECONDS - 1)


def test_an_unknown_half_life_is_refused() -> None:
    with pytest.raises(ValueError):
        counted([("a", "", 0.0)]).top(3.0, 5)


def test_no_events_count_nothing() -> None:
    counters: TrendCounters[str] = TrendCounters()
    counters.add([], [], np.empty(0))
    assert counters.top(2.0, 5).items == []


def test_the_total_is_what_shares_are_of() -> None:
    counters: TrendCounters[str] = TrendCounters()
    day = 86_400.0
    counters.add(["a", "a", "b"], ["x", "", "x"], np.array([10 * day, 8 * day, 10 * day]))
    assert counters.total(2.0) == pytest.approx(2.5)
    assert counters.total(2.0, "x") == pytest.approx(2.0)
    assert counters.total(2.0, "y") == 0.0
    trend = counters.top(2.0, 10)
    np.testing.assert_allclose(trend.shares * (counters.total(2.0) + 5), [1.5, 1.0], rtol=1e-6)
