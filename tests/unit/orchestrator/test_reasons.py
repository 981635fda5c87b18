"""Reasons say what is so, in few words."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from models.events import NEGATIVE, EventKind
from models.history import Surroundings, UserHistory, WeightedRows
from services.orchestrator.candidates import EXPLORATION, Candidates, Query
from services.orchestrator.clients import Attributed
from services.orchestrator.reasons import Cause, Facts, facts_of, reasons, strongest_kind


def cause(title: str, kind: EventKind = EventKind.WATCH, drop: float = 1.0) -> Cause:
    return Cause("i7", title, kind, drop)


@pytest.mark.parametrize(
    ("causes", "sentence"),
    [
        ([cause("Heat")], "because you watched Heat"),
        ([cause("")], "because you watched i7"),
        ([cause("Heat"), cause("Ronin", drop=0.6)], "because you watched Heat and Ronin"),
        ([cause("Heat"), cause("Ronin", drop=0.4)], "because you watched Heat"),
        ([cause("Heat"), cause("Ronin"), cause("Speed")], "because you watched Heat and Ronin"),
        (
            [cause("Heat", EventKind.LIKE), cause("Ronin", EventKind.COMMENT)],
            "because you liked Heat and commented on Ronin",
        ),
        ([cause("o" * 80)], f"because you watched {'o' * 59}…"),
    ],
)
def test_causes_are_named_by_title_two_at_most(causes: list[Cause], sentence: str) -> None:
    assert reasons(Facts(causes, sources=["friends"], friends=True)) == [sentence]


@pytest.mark.parametrize("kind", sorted(set(EventKind) - NEGATIVE))
def test_every_kind_of_taste_has_a_verb(kind: EventKind) -> None:
    (sentence,) = reasons(Facts([cause("Heat", kind)]))
    assert re.fullmatch(r"because you \w+ed( on)? Heat", sentence)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(friends=True, rising=True), ["friends liked it"]),
        (Facts(sources=["tower_ann", "friends"]), ["friends liked it"]),
        (Facts(rising=True, rising_in="north"), ["on the rise in north"]),
        (Facts(rising=True, sources=["popular"]), ["on the rise"]),
        (Facts(sources=["trending"]), ["on the rise"]),
        (Facts(sources=["new_items", "popular"]), ["new"]),
        (Facts(sources=[EXPLORATION]), ["new"]),
        (Facts(sources=["popular"]), ["popular"]),
        (Facts(promoted=True), ["promoted"]),
        (Facts(sources=["popular"], promoted=True), ["promoted", "popular"]),
        (Facts(sources=["tower_ann"]), []),
        (Facts([cause("Heat")], promoted=True), ["promoted", "because you watched Heat"]),
    ],
)
def test_without_a_cause_it_is_said_what_others_do(facts: Facts, expected: list[str]) -> None:
    assert reasons(facts) == expected


def user() -> UserHistory:
    """Viewed, liked and clicked i3, watched i4, hid and saved i6."""
    events = [(3, 2), (3, 4), (3, 3), (4, 9), (6, 7), (6, 11)]
    return UserHistory(
        rows=np.array([row for row, _ in events], np.int32),
        kinds=np.array([kind for _, kind in events], np.int8),
        ages=np.arange(len(events), 0, -1).astype(np.float32),
        values=np.zeros(len(events), np.float32),
        time=1e9,
        region="north",
        around=Surroundings(friends=_one(11), trend=_one(12), trend_here=_one(13)),
    )


def _one(row: int) -> WeightedRows:
    return WeightedRows(np.array([row], np.int32), np.ones(1, np.float32))


def test_the_verb_is_that_of_the_strongest_thing_done() -> None:
    assert strongest_kind(user(), 3) is EventKind.LIKE
    assert strongest_kind(user(), 4) is EventKind.WATCH
    assert strongest_kind(user(), 6) is EventKind.SAVE


def test_facts_are_gathered_from_the_request_the_slate_and_the_causes(
    query: Callable[..., Query],
) -> None:
    rows = np.array([10, 11, 12, 13, 3], np.int32)
    slate = Candidates.of_source("tower_ann", rows, np.ones(5, np.float32))
    attributed = Attributed(
        np.array([[3, 4], [-1, -1], [-1, -1], [-1, -1], [3, 4]], np.int32),
        np.array([[2, 1.5], [0, 0], [0, 0], [0, 0], [2, 1.5]], np.float32),
    )
    facts = facts_of(query(user=user()), slate, attributed)
    assert facts[0].causes == (
        Cause("i3", "Item 3", EventKind.LIKE, 2.0),
        Cause("i4", "Item 4", EventKind.WATCH, 1.5),
    )
    assert facts[0].sources == ["tower_ann"]
    assert [reasons(each) for each in facts] == [
        ["because you liked Item 3 and watched Item 4"],
        ["friends liked it"],
        ["on the rise"],
        ["on the rise in north"],
        ["because you watched Item 4"],  # not because of itself
    ]


def test_without_a_user_or_causes_sources_speak(query: Callable[..., Query]) -> None:
    slate = Candidates.of_source("popular", np.array([1, 2], np.int32), np.ones(2, np.float32))
    for each in (query(), query(user=user())):
        facts = facts_of(each, slate, Attributed.none(2))
        assert [reasons(item) for item in facts] == [["popular"], ["popular"]]
