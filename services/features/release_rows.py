"""What the online store holds of a release: one row a user, one row an item."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.release import Release


@dataclass(frozen=True)
class UserProfile:
    """A user as a release knows it.

    Attributes:
        user_id: whose.
        region: home region; empty when unknown.
        friends: user ids.
        factors: (k,) matrix-factorization vector; empty for a user unseen in training.
    """

    user_id: str
    region: str = ""
    friends: Sequence[str] = ()
    factors: Sequence[float] = ()


@dataclass(frozen=True)
class ItemMetadata:
    """An item as a release knows it.

    Attributes:
        item_id: which.
        title: empty when unknown.
        genres: names.
        year: 0 when unknown.
        adult: whether it is for adults only.
        vector: (d,) vector in tower space.
    """

    item_id: str
    title: str = ""
    genres: Sequence[str] = ()
    year: int = 0
    adult: bool = False
    vector: Sequence[float] = ()


@dataclass(frozen=True)
class RowCounts:
    """Rows of one release in the online store."""

    users: int
    items: int


def user_profiles(release: Release, rows: range) -> list[UserProfile]:
    """The release's users in `rows`."""
    users = release.users.iloc[rows.start : rows.stop]
    factors = release.user_factors[rows.start : rows.stop].tolist()
    columns = (users["user_id"], users["region"], users["friends"], factors)
    return [
        UserProfile(user_id, region or "", list(friends), vector)
        for user_id, region, friends, vector in zip(*columns, strict=True)
    ]


def item_metadata(release: Release, rows: range) -> list[ItemMetadata]:
    """The release's items in `rows`."""
    items, vectors = release.items, release.item_vectors[rows.start : rows.stop].tolist()
    return [
        ItemMetadata(
            item_id=items.ids[row],
            title=items.titles[row] or "",
            genres=items.genres[row],
            year=int(items.years[row]),
            adult=bool(items.adult[row]),
            vector=vector,
        )
        for row, vector in zip(rows, vectors, strict=True)
    ]


def chunks(length: int, size: int) -> Iterator[range]:
    """`range(length)` in pieces of at most `size`."""
    return (range(start, min(start + size, length)) for start in range(0, length, size))
