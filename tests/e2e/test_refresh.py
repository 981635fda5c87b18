"""A running system is refreshed from its own events, and garbage goes."""

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import EventKind, event
from tests.e2e.conftest import Running


def test_a_refresh_while_up_learns_and_switches_and_garbage_goes(running: Running) -> None:
    first = running.tandem("status")["release_id"]
    item = running.world.item_ids[0]
    running.client.record([event("refreshed", item, EventKind.EVENT_KIND_CLICK)])
    done = running.tandem("refresh")
    assert done["activated"] and done["release_id"] != first
    answer = running.client.recommend("refreshed")
    assert (answer.release_id, answer.level) == (done["release_id"], pb.LEVEL_FULL)
    assert running.client.recommend_stored("refreshed").release_id == done["release_id"]
    would = running.tandem("releases", "gc", "--keep", "0", "--dry-run")
    found = running.tandem("releases", "gc", "--keep", "0")
    assert found == {**would, "dry_run": False}
    assert {done["release_id"], first} <= set(found["kept"])
    running.tandem("releases", "rollback")
    again = running.client.recommend("refreshed")
    assert (again.release_id, again.level) == (first, pb.LEVEL_FULL)
