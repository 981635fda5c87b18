"""Users of a running system are upserted and erased."""

import grpc
import pytest

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import EventKind, TandemError, event, user
from tests.e2e.conftest import Running


def test_an_erased_user_is_a_stranger_to_every_answer(running: Running) -> None:
    *_, other, gone = running.world.user_ids
    client = running.client
    before = client.recommend_stored(gone)
    assert before.level == pb.LEVEL_STORED
    neighbours = client.similar_users(other, 500).users
    assert gone in {neighbour.user_id for neighbour in neighbours}
    answer = running.tandem("delete-user", gone)
    assert int(answer["events"]) == (running.world.events["user_id"] == gone).sum()
    assert int(answer["stored_lists"]) >= 1
    assert client.recommend_stored(gone).level == pb.LEVEL_POPULAR
    assert client.recommend(gone, count=5).level == pb.LEVEL_FULL
    neighbours = client.similar_users(other, 500).users
    assert gone not in {neighbour.user_id for neighbour in neighbours}
    with pytest.raises(TandemError) as caught:
        client.similar_users(gone)
    assert caught.value.code is grpc.StatusCode.NOT_FOUND
    assert int(running.tandem("delete-user", gone)["events"]) == 0


def test_events_after_an_erasure_are_a_new_users(running: Running) -> None:
    client = running.client
    liked = client.recommend("comes-back", count=1).items[0].item_id
    like = EventKind.EVENT_KIND_LIKE
    client.record([event("comes-back", liked, like)])
    client.delete_user("comes-back")
    client.upsert_users([user("comes-back", region="no")])
    new = client.recommend("comes-back", count=1, exclude_item_ids=[liked]).items[0].item_id
    client.record([event("comes-back", new, like)])
    shown = {item.item_id for item in client.recommend("comes-back", count=500).items}
    assert new not in shown
    assert liked in shown
