"""The kinds of events, and what each says about taste. Numbers equal those of the public API."""

from enum import IntEnum


class EventKind(IntEnum):
    RATING = 1
    VIEW = 2
    CLICK = 3
    LIKE = 4
    COMMENT = 5
    SHARE = 6
    SAVE = 7
    FORWARD = 8
    WATCH = 9
    DISLIKE = 10
    HIDE = 11

    @classmethod
    def parse(cls, name: str) -> "EventKind":
        """The kind of a name in any case.

        Raises:
            ValueError: no such kind; the text lists them.
        """
        try:
            return cls[name.strip().upper()]
        except KeyError:
            known = ", ".join(kind.name.lower() for kind in cls)
            raise ValueError(f"unknown event kind {name!r}; one of {known}") from None


NEGATIVE = frozenset({EventKind.DISLIKE, EventKind.HIDE})
"""Kinds that say the user does not want the item; they never count as taste."""
