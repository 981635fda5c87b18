"""Rules of the slate, as data. docs/rules.md explains each with an example.

Everything is optional: an empty document is what a system without rules does. Times are ISO 8601
with an offset, places of a slate count from 1.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from models.diversity import DEFAULT_WEIGHT
from models.events import EventKind

MAX_SLOT = 500
"""Longest slate."""


class Number(int):
    """A number of the document, and how it was written."""

    text: str

    @classmethod
    def of(cls, value: int, text: str) -> Self:
        number = cls(value)
        number.text = text
        return number


def _as_written(value: object) -> object:
    """An id that looks like a number needs no quotes."""
    return value.text if isinstance(value, Number) else value


Name = Annotated[str, BeforeValidator(_as_written), Field(min_length=1, max_length=128)]
Names = tuple[Name, ...]
Count = Annotated[int, Field(ge=0, le=MAX_SLOT)]

_KINDS = {kind.name.lower(): kind for kind in EventKind}
EachKind = Literal[
    "rating", "view", "click", "like", "comment", "share", "save", "forward", "watch", "dislike",
    "hide",
]  # fmt: skip
assert set(EachKind.__args__) == set(_KINDS)  # type: ignore[attr-defined]


class _Part(BaseModel):
    """Strict: `"3"` is not a number, and a name that means nothing is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Dated(_Part):
    """Holds from a moment, until a moment; unset is unbounded."""

    starts: AwareDatetime | None = Field(default=None, strict=False)
    ends: AwareDatetime | None = Field(default=None, strict=False)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.starts and self.ends and self.ends <= self.starts:
            raise ValueError("ends must be later than starts")
        return self

    def holds_at(self, time: float) -> bool:
        """Whether a moment, in Unix seconds, lies within."""
        return _seconds(self.starts, 0.0) <= time < _seconds(self.ends, float("inf"))

    @property
    def span(self) -> tuple[float, float]:
        """Both ends in Unix seconds; 0 and infinity when unset."""
        return _seconds(self.starts, 0.0), _seconds(self.ends, float("inf"))


class Block(_Part):
    """What is not shown. A genre or creator blocks each item that has it."""

    genres: Names = ()
    items: Names = ()
    creators: Names = ()
    adult: bool = False


class Audience(_Part):
    """Who a policy is for. All conditions that are set must hold.

    A request that does not say its age, region or device is in every audience that asks for it: a
    policy for children holds where nobody says that it is an adult who watches.
    """

    younger_than: Annotated[int, Field(ge=1, le=150)] | None = None
    regions: Names = ()
    devices: Names = ()

    @model_validator(mode="after")
    def _says_who(self) -> Self:
        if self.younger_than is None and not self.regions and not self.devices:
            raise ValueError("must set younger_than, regions or devices")
        return self

    def has(self, age: int, region: str, device: str) -> bool:
        """Whether a request is in it; 0 and empty are unknown."""
        return (
            (self.younger_than is None or not age or age < self.younger_than)
            and (not self.regions or not region or region in self.regions)
            and (not self.devices or not device or device in self.devices)
        )

    def surely_has(self, age: int, region: str, device: str) -> bool:
        """The same; what a request does not say, is not so."""
        return (
            (self.younger_than is None or 0 < age < self.younger_than)
            and (not self.regions or region in self.regions)
            and (not self.devices or device in self.devices)
        )


class Policy(_Part):
    """What one audience is not shown."""

    audience: Audience
    block: Block


class Window(_Dated):
    """Items that are shown only while it holds."""

    items: Annotated[Names, Field(min_length=1)]


class Seen(_Part):
    """Which kinds of events on an item keep it out, for good; none named is all."""

    kinds: tuple[EachKind, ...] = ()


class Frequency(_Part):
    """An item shown `times` within `days`, and not taken, is not shown for now.

    Taken is an item with any event; what becomes of those, `seen` says.
    """

    times: Annotated[int, Field(ge=1, le=1_000)]
    days: Annotated[float, Field(gt=0, le=90)] = 7.0


class Boost(_Dated):
    """Raises the scores of items, or lowers them, by standard deviations of the request's scores.

    An item matches that has one of the genres, is one of the items, is by one of the creators, and
    was found by one of the sources; what is empty, matches all.
    """

    by: Annotated[float, Field(ge=-10, le=10)]
    genres: Names = ()
    items: Names = ()
    creators: Names = ()
    sources: Names = ()

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not (self.genres or self.items or self.creators or self.sources):
            raise ValueError("must set genres, items, creators or sources")
        return self


class Places(_Part):
    """Where a floating promotion may be."""

    first: Annotated[int, Field(ge=1, le=MAX_SLOT)]
    last: Annotated[int, Field(ge=1, le=MAX_SLOT)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError("last must not be before first")
        return self


class Promotion(_Dated):
    """An item that gets a place of the slate, whatever its score; filters hold for it, too.

    Attributes:
        slot: the place it has, from 1; or else
        slots: where it may be: at the place of its score, if that is within, else at the nearest.
        budget: slates it is shown in, at most, over all replicas; None for no limit.
        pacing: "even" spreads the budget over the time from `starts` to `ends`.
        label: shown with the item, "Sponsored".
        name: what its budget is kept under; changing the budget of a name keeps what was spent.
        audience: who it is for; unknown is not, here.
    """

    item_id: Name
    slot: Annotated[int, Field(ge=1, le=MAX_SLOT)] | None = None
    slots: Places | None = None
    budget: Annotated[int, Field(ge=0, le=10**12)] | None = None
    pacing: Literal["asap", "even"] = "asap"
    label: Annotated[str, Field(max_length=64)] = ""
    name: Annotated[str, Field(max_length=128)] = ""
    audience: Audience | None = None

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if (self.slot is None) == (self.slots is None):
            raise ValueError("must set either slot or slots")
        if self.pacing == "even" and (self.budget is None or not self.starts or not self.ends):
            raise ValueError('pacing "even" needs budget, starts and ends')
        return self

    @property
    def key(self) -> str:
        """What its budget is kept under."""
        first, last = self.places
        return self.name or f"{self.item_id}@{first if first == last else f'{first}-{last}'}"

    @property
    def places(self) -> tuple[int, int]:
        """First and last place it may have, from 1."""
        if self.slots is not None:
            return self.slots.first, self.slots.last
        assert self.slot is not None
        return self.slot, self.slot


def _each_with_a_name(promotions: tuple[Promotion, ...]) -> tuple[Promotion, ...]:
    known = set[str]()
    for number, promotion in enumerate(promotions):
        if promotion.key in known:
            raise ValueError(f"number {number} has a name that is taken, {promotion.key!r}")
        known.add(promotion.key)
    return promotions


class Spread(_Part):
    """At most `most` items of one genre, or one creator, in any `within` places in a row.

    Yields where nothing else is left to show; a cap does not.
    """

    of: Literal["genre", "creator"]
    most: Annotated[int, Field(ge=1, le=MAX_SLOT)]
    within: Annotated[int, Field(ge=2, le=MAX_SLOT)]

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.most >= self.within:
            raise ValueError("most must be smaller than within")
        return self


class Diversity(_Part):
    """How slates are diversified; see `models.diversity`."""

    method: Literal["none", "mmr", "dpp"] = "mmr"
    weight: Annotated[float, Field(ge=0, le=1)] = DEFAULT_WEIGHT
    calibration: Annotated[float, Field(ge=0, le=1)] = 0.0
    spread: tuple[Spread, ...] = ()


class Rules(_Part):
    """All rules of a system.

    Attributes:
        caps: most items of a genre in a slate: under `genre` of each one, under `creator` of each
            creator, and under a genre's own name of that genre.
    """

    block: Block = Block()
    policies: tuple[Policy, ...] = ()
    windows: tuple[Window, ...] = ()
    seen: Seen = Seen()
    frequency: Frequency | None = None
    boost: tuple[Boost, ...] = ()
    promote: Annotated[tuple[Promotion, ...], AfterValidator(_each_with_a_name)] = ()
    caps: dict[Name, Count] = {}
    diversity: Diversity = Diversity()

    def blocks(self, age: int, region: str, device: str) -> Sequence[Block]:
        """All that is blocked for a request."""
        own = [p.block for p in self.policies if p.audience.has(age, region, device)]
        return [self.block, *own]


def event_kinds(seen: Seen) -> frozenset[EventKind]:
    """The kinds that keep an item out; empty for any."""
    return frozenset(_KINDS[kind] for kind in seen.kinds)


def _seconds(moment: datetime | None, unset: float) -> float:
    return unset if moment is None else moment.timestamp()
