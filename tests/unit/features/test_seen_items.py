"""The cache of seen items never answers with less than the set of the version asked for."""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from models.events import EventKind
from services.features.seen import (
    ALL_SEEN,
    MOST_STEPS,
    SeenHistory,
    SeenItems,
    SeenWanted,
    kinds_mask,
)

VIEW, CLICK = 1 << EventKind.VIEW, 1 << EventKind.CLICK


def history(version: int, *item_ids: str) -> SeenHistory:
    return SeenHistory(version, dict.fromkeys(item_ids, VIEW))


def seen(cache: SeenItems, user: str, version: int, wanted: SeenWanted = ALL_SEEN) -> set[str]:
    cached = cache.get(user, version)
    assert cached is not None
    return set(cached.answer(wanted).item_ids)


def test_a_history_is_answered_at_its_own_version_and_before() -> None:
    cache = SeenItems(capacity=10)
    cache.put("u", history(3, "a"))
    assert seen(cache, "u", 3) == seen(cache, "u", 2) == {"a"}
    assert cache.get("u", 4) is None
    assert cache.get("v", 3) is None


def test_a_step_to_the_next_version_grows_the_set() -> None:
    cache = SeenItems(capacity=10)
    cache.put("u", history(3, "a"))
    cache.grow("u", 4, {"b": VIEW, "a": CLICK})
    assert seen(cache, "u", 4) == {"a", "b"}
    assert seen(cache, "u", 4, SeenWanted(CLICK)) == {"a"}
    assert seen(cache, "u", 4, SeenWanted(VIEW)) == {"a", "b"}


def test_a_history_that_missed_a_step_is_forgotten() -> None:
    cache = SeenItems(capacity=10)
    cache.put("u", history(3, "a"))
    cache.grow("u", 5, {"b": VIEW})
    assert cache.get("u", 3) is None


def test_a_step_that_was_counted_already_changes_nothing() -> None:
    cache = SeenItems(capacity=10)
    cache.put("u", history(4, "a", "b"))
    cache.grow("u", 4, {"c": VIEW})
    assert seen(cache, "u", 4) == {"a", "b"}


def test_a_history_read_before_the_cached_one_does_not_replace_it() -> None:
    cache = SeenItems(capacity=10)
    cache.put("u", history(4, "a", "b"))
    cache.put("u", history(3, "a"))
    assert seen(cache, "u", 4) == {"a", "b"}


def test_growing_leaves_an_answer_as_it_was() -> None:
    cache = SeenItems(capacity=10)
    cache.put("u", history(1, "a"))
    held = cache.get("u", 1)
    assert held is not None
    answers = [held.answer(ALL_SEEN), held.answer(SeenWanted(since=1))]
    cache.grow("u", 2, {"b": VIEW})
    assert [list(answer.item_ids) for answer in answers] == [["a"], []]


def test_whoever_knows_a_version_gets_what_was_added_since() -> None:
    known = history(3, "a", "c")
    for item_id, mask in (("b", VIEW), ("c", VIEW), ("d", CLICK)):
        known.grow({item_id: mask})
    for since, added in ((6, set()), (5, {"d"}), (4, {"c", "d"}), (3, {"b", "c", "d"})):
        answer = known.answer(SeenWanted(since=since))
        assert (answer.is_increment, set(answer.item_ids)) == (True, added)
    assert set(known.answer(SeenWanted(VIEW, since=3)).item_ids) == {"b", "c"}
    for since in (0, 2, 7):
        answer = known.answer(SeenWanted(since=since))
        assert (answer.is_increment, set(answer.item_ids)) == (False, {"a", "b", "c", "d"})


def test_who_missed_more_steps_than_are_kept_gets_all() -> None:
    known = history(1, "a")
    for number in range(MOST_STEPS + 5):
        known.grow({f"i{number}": VIEW})
    since = known.version - MOST_STEPS
    assert len(known.answer(SeenWanted(since=since)).item_ids) == MOST_STEPS
    assert not known.answer(SeenWanted(since=since - 1)).is_increment
    assert known.size == MOST_STEPS + 6 + MOST_STEPS  # steps count, too


def test_the_least_recently_used_user_goes_when_too_many_items_are_held() -> None:
    cache = SeenItems(capacity=4)
    cache.put("old", history(1, "a", "b"))
    cache.put("used", history(1, "c"))
    cache.get("old", 1)
    cache.put("new", history(1, "d", "e"))
    assert cache.get("used", 1) is None
    assert seen(cache, "old", 1) == {"a", "b"}
    cache.get("new", 1)
    cache.grow("new", 2, {"f": VIEW})
    assert cache.get("old", 1) is None


def test_a_history_larger_than_the_cache_is_not_kept() -> None:
    cache = SeenItems(capacity=2)
    cache.put("u", history(1, "a", "b", "c"))
    assert cache.get("u", 1) is None
    cache.put("v", history(1, "a"))
    assert seen(cache, "v", 1) == {"a"}


def nothing() -> None:
    """What a replica does that hears of no change."""


@dataclass
class Truth:
    """The log of one user, as `versions.grow` numbers it, and the caches of two replicas."""

    capacity: int
    version: int = 0
    buried: int = 0
    events: list[tuple[str, int]] = field(default_factory=list)
    caches: list[SeenItems] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.caches = [SeenItems(self.capacity) for _ in range(2)]

    def changed(self) -> None:
        self.version = self.version + 1 if self.version else max(self.version, self.buried) + 1

    def append(self, replica: int, events: list[tuple[str, int]]) -> Callable[[], None]:
        """Stores events; returns what the replica does when it hears of it."""
        self.changed()
        self.events += events
        kinds: defaultdict[str, int] = defaultdict(int)
        for item_id, kind in events:
            kinds[item_id] |= 1 << kind
        return partial(self.caches[replica].grow, "u", self.version, kinds)

    def expire(self, count: int) -> Callable[[], None]:
        if self.events:
            self.changed()
            del self.events[:count]
        return nothing

    def erase(self, replica: int) -> None:
        self.buried = max(self.version, self.buried) + 1
        self.version, self.events = 0, []
        self.caches[replica].forget("u")

    def kinds(self) -> dict[str, int]:
        kinds: dict[str, int] = {}
        for item_id, kind in self.events:
            kinds[item_id] = kinds.get(item_id, 0) | 1 << kind
        return kinds

    def seen(self, kinds: frozenset[int]) -> set[str]:
        return {item_id for item_id, kind in self.events if not kinds or kind in kinds}


@dataclass
class Reader:
    """Whoever asks again and again, and remembers the last answer."""

    kinds: frozenset[int] = frozenset()
    version: int = 0
    held: set[str] = field(default_factory=set)

    def ask(
        self,
        truth: Truth,
        replica: int,
        kinds: frozenset[int],
        meanwhile: Callable[[], Callable[[], None]] = lambda: nothing,
    ) -> Callable[[], None]:
        """Something may happen after the replica reads the version, before it reads the set.

        Returns:
            What happens when the replica that did it hears of it.
        """
        since = self.version if kinds == self.kinds else 0
        wanted = SeenWanted(kinds_mask(kinds) or ALL_SEEN.kinds, since)
        version = truth.version
        note = meanwhile()
        if version == 0:
            self.kinds, self.version, self.held = kinds, 0, set()
            return note
        found = truth.caches[replica].get("u", version)
        if found is None:
            found = SeenHistory(version, truth.kinds())
            truth.caches[replica].put("u", found)
        answer = found.answer(wanted)
        items = set(answer.item_ids)
        self.kinds, self.version = kinds, version
        self.held = self.held | items if answer.is_increment else items
        return note


KINDS = [frozenset[int](), frozenset({1}), frozenset({2, 3})]
WEIGHTS = {"append": 10, "ask": 8, "slow ask": 6, "expire": 1, "erase": 1, "restart": 1, "evict": 1}


@pytest.mark.parametrize("seed", range(400))
def test_increments_add_up_to_the_set_whatever_happens(seed: int) -> None:
    rng = random.Random(seed)
    capacity = rng.choice([10, 1_000])
    truth, steady, changing = Truth(capacity), Reader(), Reader()

    def append() -> Callable[[], None]:
        events = [(rng.choice("abcdefgh"), rng.randint(1, 3)) for _ in range(rng.randint(1, 2))]
        return truth.append(rng.randrange(2), events)

    for what in rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=80):
        replica = rng.randrange(2)
        if what == "append":
            append()()
        elif what == "expire":
            truth.expire(rng.randint(1, 4))
        elif what == "erase":
            truth.erase(replica)
        elif what == "restart":
            truth.caches[replica] = SeenItems(capacity)
        elif what == "evict":
            truth.caches[replica].put("other", history(1, *map(str, range(capacity))))
        elif what == "slow ask":  # its answer is of either moment; those that follow must be right
            late: Callable[[], Callable[[], None]] = append
            if rng.random() < 0.5:
                late = partial(truth.expire, 1)
            note = steady.ask(truth, replica, frozenset(), late)
            note()
        else:
            for reader, kinds in ((steady, frozenset[int]()), (changing, rng.choice(KINDS))):
                reader.ask(truth, replica, kinds)
                assert reader.held == truth.seen(kinds)
