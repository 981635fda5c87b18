"""What stored recommendations promise, on SQLite and PostgreSQL alike."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from services.common.database import open_database
from services.common.stored import StoredRecommendations

Lists = Iterator[tuple[str, list[str], list[float]]]

USERS = 5_000  # several INSERTs


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = open_database(request.getfixturevalue(f"{request.param}_url"))
    yield engine
    engine.dispose()


@pytest.fixture
def stored(engine: Engine) -> StoredRecommendations:
    return StoredRecommendations(engine)


def lists(item: str, users: int = USERS) -> Lists:
    for user in range(users):
        yield f"u{user}", [item, "i0"], [0.5, 0.25]


def broken_lists(item: str) -> Lists:
    yield from lists(item, USERS - 1)
    raise OSError("the disk is gone")


def test_a_failure_midway_leaves_nothing_of_the_release(stored: StoredRecommendations) -> None:
    stored.write("old", lists("i1"))
    with pytest.raises(OSError, match="the disk is gone"):
        stored.write("new", broken_lists("i2"))
    assert stored.read("new", "u0") is None
    assert stored.read("new", f"u{USERS - 2}") is None
    for user in ("u0", f"u{USERS - 1}"):
        assert stored.read("old", user) == (["i1", "i0"], [0.5, 0.25])
    assert stored.write("new", lists("i2")) == USERS


def test_a_failed_rewrite_leaves_the_release_as_it_was(stored: StoredRecommendations) -> None:
    stored.write("r", lists("i1"))
    with pytest.raises(OSError, match="the disk is gone"):
        stored.write("r", broken_lists("i2"))
    for user in ("u0", f"u{USERS - 1}"):
        assert stored.read("r", user) == (["i1", "i0"], [0.5, 0.25])


def test_a_failure_of_the_database_midway_leaves_nothing(stored: StoredRecommendations) -> None:
    def twice() -> Lists:
        yield from lists("i1")
        yield "u0", ["i2"], [1.0]

    with pytest.raises(IntegrityError):
        stored.write("r", twice())
    assert stored.read("r", "u1") is None


def test_writing_again_changes_nothing(stored: StoredRecommendations) -> None:
    for _ in range(2):
        assert stored.write("r", lists("i1")) == USERS
        assert stored.read("r", "u7") == (["i1", "i0"], [0.5, 0.25])


def test_readers_see_the_old_lists_until_the_new_ones_are_whole(
    stored: StoredRecommendations,
) -> None:
    stored.write("r", lists("i1"))
    during = []

    def watched() -> Lists:
        yield from lists("i2")
        during.append(stored.read("r", "u0"))

    stored.write("r", watched())
    assert during == [(["i1", "i0"], [0.5, 0.25])]
    assert stored.read("r", "u0") == (["i2", "i0"], [0.5, 0.25])


def test_others_can_write_while_lists_are_gathered(stored: StoredRecommendations) -> None:
    def with_a_neighbour() -> Lists:
        yield from lists("i1")
        stored.write("other", lists("i3", 1))

    stored.write("r", with_a_neighbour())
    assert stored.read("other", "u0") == (["i3", "i0"], [0.5, 0.25])
    assert stored.read("r", "u0") == (["i1", "i0"], [0.5, 0.25])


def test_all_lists_of_a_release_are_dropped_and_no_others(stored: StoredRecommendations) -> None:
    stored.write("gone", lists("i1"))
    stored.write("stays", lists("i2", 3))
    assert (stored.count("gone"), stored.releases()) == (USERS, {"gone", "stays"})
    assert stored.drop("gone") == USERS
    assert stored.drop("gone") == 0
    assert stored.releases() == {"stays"}
    assert stored.read("stays", "u2") == (["i2", "i0"], [0.5, 0.25])


def test_nothing_is_stored_when_what_goes_with_it_fails(stored: StoredRecommendations) -> None:
    def fails(_db: object) -> None:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        stored.write("r", lists("i1", 1), also=fails)
    assert stored.releases() == set()
