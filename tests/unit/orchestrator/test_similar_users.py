from collections.abc import Collection

import pytest

from models.release import Release
from services.common.errors import InvalidArgument, NotFound
from services.orchestrator.similar_users import check_method, similar_users


def nobody(_: Collection[str]) -> set[str]:
    """Erased users: none."""
    return set()


def test_the_nearest_user_comes_first_and_the_user_is_left_out(release: Release) -> None:
    found = similar_users(release, "a", 5, nobody)
    assert [user for user, _ in found] == ["b", "c"]
    assert found[0][1] == pytest.approx(0.9939, abs=1e-3)


def test_a_user_the_release_does_not_hold_is_not_found(release: Release) -> None:
    with pytest.raises(NotFound, match="nobody"):
        similar_users(release, "nobody", 5, nobody)


def test_users_are_compared_in_one_way_only() -> None:
    check_method("", "")
    check_method("factors", "")
    with pytest.raises(InvalidArgument, match=r"^method: 'cosine' is not factors"):
        check_method("cosine", "")
    with pytest.raises(InvalidArgument, match=r"^missing: must be empty"):
        check_method("factors", "zero")


def erased_b(asked: Collection[str]) -> set[str]:
    return {"b"}.intersection(asked)


def test_erased_users_are_neither_answered_nor_compared(release: Release) -> None:
    assert [user for user, _ in similar_users(release, "a", 1, erased_b)] == ["c"]
    with pytest.raises(NotFound, match="holds no user 'b'"):
        similar_users(release, "b", 1, erased_b)
