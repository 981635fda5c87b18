"""A synthetic world with a planted answer, so that a whole system can be asked whether it is right.

Items belong to one taste each, follow one another in a fixed order within it, and have a creator,
who means nothing to anybody. Users have a
favourite taste, a region with hits of its own, and friends of mostly the same taste. They come in
sessions, move along their taste's order, adopt what friends did, and now and then stray and dislike
it. All event kinds occur.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from models.events import EventKind

TASTES = ("comedy", "drama", "horror", "romance", "scifi", "thriller", "war", "western")
REGIONS = ("north", "south", "west")

_START = 1_690_000_000.0
_DAYS = 90
_SECONDS_A_DAY = 86_400.0
_KINDS = {
    EventKind.VIEW: 0.30,
    EventKind.CLICK: 0.24,
    EventKind.WATCH: 0.14,
    EventKind.LIKE: 0.10,
    EventKind.RATING: 0.10,
    EventKind.COMMENT: 0.03,
    EventKind.SHARE: 0.03,
    EventKind.SAVE: 0.04,
    EventKind.FORWARD: 0.02,
}
_ITEMS_A_CREATOR = 10
_FOLLOWS_ORDER = 0.6
_FAVOURITE, _SECOND = 0.75, 0.15


@dataclass(frozen=True)
class Habits:
    """How the users of a world choose.

    Attributes:
        from_friend: chance that an event is on the latest item of a friend instead.
        regional_hit: chance that it is on a hit of the user's region and taste instead.
        hit_days: days after which every region has other hits.
    """

    from_friend: float = 0.1
    regional_hit: float = 0.1
    hit_days: float = float(_DAYS)


@dataclass(frozen=True)
class World:
    """A written world, and the truth behind it.

    Attributes:
        path: folder with `events.csv`, `items.csv` and `users.csv`.
        events, items, users: what the files hold.
    """

    path: Path
    events: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    tastes: tuple[str, ...] = field(default=TASTES)

    @property
    def user_ids(self) -> list[str]:
        return self.users["user_id"].tolist()

    @property
    def item_ids(self) -> list[str]:
        return self.items["item_id"].tolist()

    def favourite(self, user_id: str) -> str:
        """The user's planted taste."""
        return self._favourites[user_id]

    def taste_of(self, item_id: str) -> str:
        """The item's planted taste."""
        return self._tastes_of_items[item_id]

    def seen(self, user_id: str) -> set[str]:
        """Items the user has an event on."""
        return set(self.events.loc[self.events["user_id"] == user_id, "item_id"])

    def last_event_time(self, user_id: str) -> float:
        """Unix seconds."""
        return float(self.events.loc[self.events["user_id"] == user_id, "timestamp"].max())

    @cached_property
    def _favourites(self) -> dict[str, str]:
        return dict(zip(self.users["user_id"], self.users["favourite"], strict=True))

    @cached_property
    def _tastes_of_items(self) -> dict[str, str]:
        return dict(zip(self.items["item_id"], self.items["taste"], strict=True))


def write_world(
    path: Path,
    *,
    n_users: int = 300,
    n_items: int = 400,
    seed: int = 0,
    habits: Habits | None = None,
) -> World:
    """Makes a world and writes it as a general log. The same arguments give the same files."""
    rng = np.random.default_rng(seed)
    items, users = _items(n_items, rng), _users(n_users, rng)
    items["creators"] = _creators(n_items, seed)
    events = _Life(items, users, rng, habits or Habits()).events()
    path.mkdir(parents=True, exist_ok=True)
    events.assign(event=[EventKind(kind).name.lower() for kind in events["kind"]])[
        ["user_id", "item_id", "event", "value", "timestamp", "region"]
    ].to_csv(path / "events.csv", index=False)
    items[["item_id", "title", "genres", "year", "adult", "creators"]].to_csv(
        path / "items.csv", index=False
    )
    users[["user_id", "region", "friends"]].to_csv(path / "users.csv", index=False)
    return World(path, events, items, users)


def _items(count: int, rng: np.random.Generator) -> pd.DataFrame:
    tastes = np.array([TASTES[row % len(TASTES)] for row in range(count)])
    return pd.DataFrame(
        {
            "item_id": [f"item-{row}" for row in range(count)],
            "title": [
                f"{taste.title()} Story {row} ({1980 + row % 45})"
                for row, taste in enumerate(tastes)
            ],
            "genres": tastes,
            "year": [1980 + row % 45 for row in range(count)],
            "adult": rng.random(count) < 0.02,
            "taste": tastes,
        }
    )


def _creators(count: int, seed: int) -> list[str]:
    """One of about count / 10 creators an item."""
    rng = np.random.default_rng([seed, 1])  # of its own: no other draw depends on creators
    drawn = rng.integers(max(count // _ITEMS_A_CREATOR, 1), size=count)
    return [f"creator-{number}" for number in drawn.tolist()]


def _users(count: int, rng: np.random.Generator) -> pd.DataFrame:
    favourites = rng.integers(len(TASTES), size=count)
    friends = []
    for user in range(count):
        alike = np.flatnonzero((favourites == favourites[user]) & (np.arange(count) != user))
        chosen = set(rng.choice(alike, size=min(3, len(alike)), replace=False).tolist())
        chosen |= {int(other) for other in rng.integers(count, size=1) if other != user}
        friends.append("|".join(f"user-{other}" for other in sorted(chosen)))
    return pd.DataFrame(
        {
            "user_id": [f"user-{user}" for user in range(count)],
            "region": rng.choice(REGIONS, size=count),
            "friends": friends,
            "favourite": [TASTES[taste] for taste in favourites],
        }
    )


class _Life:
    """Lets the users of a world live through its days."""

    def __init__(
        self, items: pd.DataFrame, users: pd.DataFrame, rng: np.random.Generator, habits: Habits
    ) -> None:
        self._rng = rng
        self._habits = habits
        self._users = users
        self._of_taste = {
            taste: np.flatnonzero((items["taste"] == taste).to_numpy()) for taste in TASTES
        }
        self._hits = {
            (period, region, taste): rng.choice(rows, size=min(3, len(rows)), replace=False)
            for period in range(math.ceil(_DAYS / habits.hit_days))
            for region in REGIONS
            for taste, rows in self._of_taste.items()
        }
        self._last: dict[str, list[int]] = {user: [] for user in users["user_id"]}

    def events(self) -> pd.DataFrame:
        sessions = [
            (_START + self._rng.random() * _DAYS * _SECONDS_A_DAY, row)
            for row in range(len(self._users))
            for _ in range(self._rng.integers(4, 9))
        ]
        rows = [event for start, row in sorted(sessions) for event in self._session(row, start)]
        events = pd.DataFrame(
            rows, columns=["user_id", "item_id", "kind", "value", "timestamp", "region"]
        ).drop_duplicates(["user_id", "item_id", "kind", "timestamp"])
        return events.sort_values("timestamp", kind="stable", ignore_index=True)

    def _session(self, row: int, start: float) -> list[tuple[str, str, int, float, float, str]]:
        user = self._users.iloc[row]
        taste = self._choose_taste(str(user["favourite"]))
        pool = self._of_taste[taste]
        at = int(self._rng.integers(len(pool)))
        time, events = start, []
        for _ in range(self._rng.integers(3, 9)):
            follows = self._rng.random() < _FOLLOWS_ORDER
            at = (at + 1) % len(pool) if follows else int(self._rng.integers(len(pool)))
            item = self._diverted(int(pool[at]), taste, user, time)
            kind = self._kind(strayed=taste != user["favourite"])
            region = str(user["region"]) if self._rng.random() < 0.9 else ""
            events.append(
                (str(user["user_id"]), f"item-{item}", int(kind), self._value(kind), time, region)
            )
            self._last[str(user["user_id"])].append(item)
            time = float(round(time + self._rng.exponential(120)))
        return events

    def _choose_taste(self, favourite: str) -> str:
        draw = self._rng.random()
        if draw < _FAVOURITE:
            return favourite
        if draw < _FAVOURITE + _SECOND:
            return TASTES[(TASTES.index(favourite) + 1) % len(TASTES)]
        return str(self._rng.choice(TASTES))

    def _diverted(self, item: int, taste: str, user: "pd.Series[str]", time: float) -> int:
        """The item, or instead a hit of the user's region, or a friend's latest."""
        draw = self._rng.random()
        habits = self._habits
        if draw < habits.regional_hit:
            days = min((time - _START) / _SECONDS_A_DAY, _DAYS - 1)
            period = int(days / habits.hit_days)
            return int(self._rng.choice(self._hits[period, user["region"], taste]))
        friends = [f for f in str(user["friends"]).split("|") if self._last.get(f)]
        if draw < habits.regional_hit + habits.from_friend and friends:
            return self._last[str(self._rng.choice(friends))][-1]
        return item

    def _kind(self, strayed: bool) -> EventKind:
        if strayed and self._rng.random() < 0.15:
            return EventKind.DISLIKE if self._rng.random() < 0.5 else EventKind.HIDE
        kinds = list(_KINDS)
        return kinds[int(self._rng.choice(len(kinds), p=list(_KINDS.values())))]

    def _value(self, kind: EventKind) -> float:
        if kind is EventKind.RATING:
            return float(self._rng.integers(6, 11)) / 2
        return round(float(self._rng.uniform(0.2, 2.5)), 2) if kind is EventKind.WATCH else 0.0
