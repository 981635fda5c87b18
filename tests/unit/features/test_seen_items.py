"""The cache of seen items never answers with a set of another version."""

from services.features.seen import SeenItems


def test_a_set_is_answered_at_its_own_version_only() -> None:
    seen = SeenItems(capacity=10)
    seen.put("u", 3, {"a"})
    assert seen.get("u", 3) == {"a"}
    assert seen.get("u", 2) is None
    assert seen.get("u", 4) is None
    assert seen.get("v", 3) is None


def test_a_step_to_the_next_version_grows_the_set() -> None:
    seen = SeenItems(capacity=10)
    seen.put("u", 3, {"a"})
    seen.grow("u", 4, {"b", "a"})
    assert seen.get("u", 4) == {"a", "b"}


def test_a_set_that_missed_a_step_is_forgotten() -> None:
    seen = SeenItems(capacity=10)
    seen.put("u", 3, {"a"})
    seen.grow("u", 5, {"b"})
    assert seen.get("u", 5) is None
    assert seen.get("u", 3) is None


def test_a_step_that_was_counted_already_changes_nothing() -> None:
    seen = SeenItems(capacity=10)
    seen.put("u", 4, {"a", "b"})
    seen.grow("u", 4, {"b"})
    assert seen.get("u", 4) == {"a", "b"}


def test_growing_leaves_a_set_already_handed_out_as_it_was() -> None:
    seen = SeenItems(capacity=10)
    seen.put("u", 1, {"a"})
    answered = seen.get("u", 1)
    seen.grow("u", 2, {"b"})
    assert answered == {"a"}


def test_the_least_recently_used_user_goes_when_too_many_items_are_held() -> None:
    seen = SeenItems(capacity=4)
    seen.put("old", 1, {"a", "b"})
    seen.put("used", 1, {"c"})
    seen.get("old", 1)
    seen.put("new", 1, {"d", "e"})
    assert seen.get("used", 1) is None
    assert seen.get("old", 1) == {"a", "b"}
    assert seen.get("new", 1) == {"d", "e"}


def test_a_set_larger_than_the_cache_is_not_kept() -> None:
    seen = SeenItems(capacity=2)
    seen.put("u", 1, {"a", "b", "c"})
    assert seen.get("u", 1) is None
    seen.put("v", 1, {"a"})
    assert seen.get("v", 1) == {"a"}
