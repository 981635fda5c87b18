from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from services.common.database import open_database
from services.common.errors import FailedPrecondition, NotFound
from services.common.releases import ReleaseRegistry, ReleaseState
from services.common.stored import StoredRecommendations


@pytest.fixture
def engine(tmp_path: object) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/tandem.db")
    yield engine
    engine.dispose()


@pytest.fixture
def registry(engine: Engine) -> ReleaseRegistry:
    return ReleaseRegistry(engine)


def test_one_release_is_active_at_a_time(registry: ReleaseRegistry) -> None:
    registry.add("a", {"ndcg@10": 0.1})
    registry.add("b", {})
    registry.activate("a")
    registry.activate("b")
    assert registry.active() == "b"
    states = {record.release_id: record.state for record in registry.list()}
    assert states == {"a": ReleaseState.RETIRED, "b": ReleaseState.ACTIVE}


def test_the_release_before_the_active_one_can_be_named(registry: ReleaseRegistry) -> None:
    for release_id in ("a", "b", "c"):
        registry.add(release_id, {})
        registry.activate(release_id)
    assert registry.previous() == "b"


def test_there_is_nothing_before_the_first_release(registry: ReleaseRegistry) -> None:
    registry.add("a", {})
    registry.activate("a")
    with pytest.raises(FailedPrecondition):
        registry.previous()


def test_an_unknown_release_cannot_be_activated(registry: ReleaseRegistry) -> None:
    registry.add("a", {})
    registry.activate("a")
    with pytest.raises(NotFound, match="nope"):
        registry.activate("nope")
    assert registry.active() == "a"


def test_only_a_build_meant_to_serve_waits_for_the_next_start(registry: ReleaseRegistry) -> None:
    registry.add("a", {}, activate_at_start=True)
    assert registry.pending() == "a"
    registry.activate("a")
    assert registry.pending() is None
    registry.add("b", {})
    assert registry.pending() is None


def test_a_refused_release_keeps_its_reason_until_it_serves(registry: ReleaseRegistry) -> None:
    registry.add("a", {}, activate_at_start=True)
    registry.refuse("a", "recall@500 0.41 is below 0.95")
    record = registry.get("a")
    assert (record.state, record.has_served) == (ReleaseState.FAILED, False)
    assert record.reason == "recall@500 0.41 is below 0.95"
    assert registry.pending() is None
    registry.pass_probe("a")
    assert (registry.get("a").state, registry.get("a").reason) == (ReleaseState.PROBED, "")
    assert registry.pending() == "a"
    assert registry.activate("a").has_served


def test_a_registry_of_an_earlier_version_gets_its_column(tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    engine = open_database(url)
    ReleaseRegistry(engine).add("a", {})
    with engine.begin() as db:
        db.exec_driver_sql("ALTER TABLE releases DROP COLUMN reason")
    engine.dispose()
    engine = open_database(url)
    assert ReleaseRegistry(engine).get("a").reason == ""
    engine.dispose()


def test_stored_lists_are_replaced_as_a_whole(engine: Engine) -> None:
    stored = StoredRecommendations(engine)
    stored.write("r", [("u1", ["i1", "i2"], [2.0, 1.0]), ("u2", ["i3"], [1.0])])
    assert stored.write("r", [("u1", ["i9"], [3.0])]) == 1
    assert stored.read("r", "u1") == (["i9"], [3.0])
    assert stored.read("r", "u2") is None
    assert stored.read("other", "u1") is None


def test_what_serves_is_not_judged_by_a_replica_that_is_late(registry: ReleaseRegistry) -> None:
    registry.add("a", {})
    registry.activate("a")
    registry.refuse("a", "the machine was busy")
    assert (registry.get("a").state, registry.get("a").reason) == (ReleaseState.ACTIVE, "")
    registry.pass_probe("a")
    assert registry.active() == "a"
