"""Why each item of a slate is there."""

from dataclasses import dataclass

from models.events import EventKind


@dataclass(frozen=True)
class Cause:
    """An item of the user's own that brought another one; see `Cause` of the public API."""

    item_id: str
    title: str
    kind: EventKind
    drop: float


@dataclass(frozen=True)
class Reasons:
    """Of one item: sentences, the strongest first, and what of the user's own brought it."""

    sentences: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
