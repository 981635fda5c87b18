"""Why an item is in a slate, in words for people: from facts alone, and nothing that is not so."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from models.events import EventKind
from models.history import UserHistory
from models.release import Items
from services.orchestrator.candidates import EXPLORATION, PROMOTED, Candidates, Query
from services.orchestrator.clients import Attributed

_VERBS = {
    EventKind.SHARE: "shared",
    EventKind.FORWARD: "forwarded",
    EventKind.LIKE: "liked",
    EventKind.COMMENT: "commented on",
    EventKind.SAVE: "saved",
    EventKind.RATING: "rated",
    EventKind.WATCH: "watched",
    EventKind.CLICK: "clicked",
    EventKind.VIEW: "viewed",
}
"""By the kinds that count as taste, the one that says most of it first."""

_STRENGTH = {kind: -place for place, kind in enumerate(_VERBS)}

_LONGEST_TITLE = 60
_SECOND_SHARE = 0.5
"""A second title is named when it matters at least this much of what the first does."""

_NEW = frozenset({"new_items", EXPLORATION})


@dataclass(frozen=True)
class Cause:
    """An item of the user's history that brought an item.

    Attributes:
        item_id: its id.
        title: its title, or empty.
        kind: the strongest of what the user did to it.
        drop: how far the score of the item that it brought falls without it, above 0.
    """

    item_id: str
    title: str
    kind: EventKind
    drop: float


@dataclass(frozen=True)
class Facts:
    """What is known of why one item is in a slate.

    Attributes:
        causes: items of the history that brought it, the one that matters most first.
        sources: names of the candidate sources that found it.
        promoted: whether it has its place by a promotion.
        friends: whether friends lately liked it.
        rising: whether it is on the rise everywhere.
        rising_in: the region in which it is on the rise; empty for none.
    """

    causes: Sequence[Cause] = ()
    sources: Collection[str] = ()
    promoted: bool = False
    friends: bool = False
    rising: bool = False
    rising_in: str = ""


def reasons(facts: Facts) -> list[str]:
    """Short sentences without a full stop; none when nothing is known.

    That an item was put there for another reason than taste is always said. Otherwise, one reason:
    what the user did, else what others do.
    """
    put = ["promoted"] if facts.promoted else []
    if facts.causes:
        return [*put, _because(facts.causes)]
    others = _others(facts)
    return [*put, *([others] if others else [])]


def _because(causes: Sequence[Cause]) -> str:
    first, *more = causes
    sentence = f"because you {_VERBS[first.kind]} {_title(first)}"
    if not more or more[0].drop < _SECOND_SHARE * first.drop:
        return sentence
    verb = "" if more[0].kind == first.kind else f"{_VERBS[more[0].kind]} "
    return f"{sentence} and {verb}{_title(more[0])}"


def _title(cause: Cause) -> str:
    title = cause.title or cause.item_id
    short = title[: _LONGEST_TITLE - 1].rstrip()
    return title if len(title) <= _LONGEST_TITLE else f"{short}…"


def _others(facts: Facts) -> str:
    if facts.friends or "friends" in facts.sources:
        return "friends liked it"
    if facts.rising_in:
        return f"on the rise in {facts.rising_in}"
    if facts.rising or "trending" in facts.sources:
        return "on the rise"
    if _NEW & set(facts.sources):
        return "new"
    return "popular" if "popular" in facts.sources else ""


def facts_of(query: Query, slate: Candidates, attributed: Attributed) -> list[Facts]:
    """Facts of each item of a slate.

    Args:
        query: the hydrated request.
        slate: n items.
        attributed: causes of the same n items; `Attributed.none` where they are not known.
    """
    user, items = query.user, query.catalogue.items
    promoted = slate.columns.get(PROMOTED, np.zeros(len(slate), np.bool_)).tolist()
    if user is None:
        return [
            Facts(sources=slate.sources_of(at), promoted=promoted[at]) for at in range(len(slate))
        ]
    around = user.around
    friends, rising, here = (
        weighted.of(slate.rows) > 0
        for weighted in (around.friends, around.trend, around.trend_here)
    )
    return [
        Facts(
            causes=causes_of(int(slate.rows[at]), at, attributed, user, items),
            sources=slate.sources_of(at),
            promoted=promoted[at],
            friends=bool(friends[at]),
            rising=bool(rising[at]),
            rising_in=user.region if here[at] else "",
        )
        for at in range(len(slate))
    ]


def causes_of(
    row: int, at: int, attributed: Attributed, user: UserHistory, items: Items
) -> tuple[Cause, ...]:
    """Causes of the item of a row, at a position of what was attributed.

    Of an item that the user knows, the item itself is none: "because you watched it" says nothing.
    """
    return tuple(
        Cause(items.ids[cause], items.titles[cause], strongest_kind(user, cause), drop)
        for cause, drop in zip(
            attributed.causes[at].tolist(), attributed.drops[at].tolist(), strict=True
        )
        if cause >= 0 and cause != row
    )


def strongest_kind(user: UserHistory, row: int) -> EventKind:
    """What the user did to an item of taste; of several things, what says most of it."""
    kinds = (EventKind(kind) for kind in np.unique(user.kinds[user.rows == row]).tolist())
    return max((kind for kind in kinds if kind in _STRENGTH), key=_STRENGTH.__getitem__)
