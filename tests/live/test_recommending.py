"""What a user of any running system relies on: answers."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import EventKind, TandemError, event
from tests.live.conftest import Live

API = {"tandem.recommender.v1.RecommenderService", "tandem.recommender.v1.AdminService"}
STAGES = {"hydrate", "retrieve", "filter", "rank", "select"}


def ids(answer: pb.RecommendResponse | pb.RecommendStoredResponse) -> list[str]:
    return [item.item_id for item in answer.items]


def test_it_is_healthy_and_lists_its_services(live: Live) -> None:
    with grpc.insecure_channel(live.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", *API):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert set(ProtoReflectionDescriptorDatabase(channel).get_services()) >= API


def test_a_known_user_is_answered_at_the_full_level(live: Live) -> None:
    answer = live.client.recommend(live.users[0])
    assert answer.level == pb.LEVEL_FULL
    assert len(set(ids(answer))) == 10
    assert all(item.title and item.sources for item in answer.items)
    assert set(answer.stage_millis) >= STAGES
    assert answer.release_id and answer.request_id


def test_different_users_get_different_answers(live: Live) -> None:
    assert len({tuple(ids(live.client.recommend(user))) for user in live.users}) > 1


def test_a_user_nobody_knows_is_answered_at_the_full_level(live: Live) -> None:
    answer = live.client.recommend(live.new_user())
    assert (len(answer.items), answer.level) == (10, pb.LEVEL_FULL)


def test_an_acknowledged_event_is_part_of_the_very_next_answer(live: Live) -> None:
    user, shown = live.new_user(), set[str]()
    for number in range(1, 11):
        first = live.client.recommend(user).items[0].item_id
        assert first not in shown
        assert live.client.record([event(user, first, EventKind.EVENT_KIND_CLICK)]).accepted == 1
        shown.add(first)
        after = live.client.recommend(user, count=50, explain=True)
        assert after.level == pb.LEVEL_FULL
        assert after.trace.user.events == number
        assert not shown & set(ids(after))


def test_what_was_seen_is_in_no_later_slate(live: Live) -> None:
    user = live.new_user()
    seen = ids(live.client.recommend(user, count=100))
    live.client.record([event(user, item, EventKind.EVENT_KIND_VIEW) for item in seen])
    for _ in range(10):
        assert not set(seen) & set(ids(live.client.recommend(user, count=100)))


def test_a_repeated_event_counts_once(live: Live) -> None:
    user = live.new_user()
    sent = event(user, "an-item-of-tomorrow", EventKind.EVENT_KIND_VIEW)
    assert live.client.record([sent]).accepted == 1
    again = live.client.record([sent])
    assert (again.accepted, again.duplicates) == (0, 1)


def test_a_stored_list_is_served(live: Live) -> None:
    answer = live.client.recommend_stored(live.users[0])
    assert answer.level == pb.LEVEL_STORED
    assert len(set(ids(answer))) == 10
    assert live.client.recommend_stored(live.new_user()).level == pb.LEVEL_POPULAR


def test_items_and_users_have_neighbours(live: Live) -> None:
    item = live.client.recommend(live.users[0]).items[0].item_id
    items = live.client.similar_items(item, 5).items
    assert len({each.item_id for each in items} - {item}) == 5
    users = live.client.similar_users(live.users[0], 5).users
    assert len({each.user_id for each in users} - {live.users[0]}) == 5


def test_an_explained_answer_accounts_for_every_stage_and_item(live: Live) -> None:
    answer = live.client.recommend(live.users[0], explain=True)
    assert {each.stage for each in answer.trace.stages} == STAGES
    assert not any(each.error for each in answer.trace.stages)
    placed = {each.place: each.item_id for each in answer.trace.candidates if each.place}
    assert placed == dict(enumerate(ids(answer), start=1))
    assert any(item.causes for item in answer.items)


@pytest.mark.parametrize(
    ("user", "count", "field"), [("", 10, "user_id"), ("u", 0, "count"), ("u", 501, "count")]
)
def test_a_malformed_request_is_refused_by_field(
    live: Live, user: str, count: int, field: str
) -> None:
    with pytest.raises(TandemError) as caught:
        live.client.recommend(user, count=count)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details.startswith(f"{field}: ")


def test_an_event_without_an_item_is_refused_by_field(live: Live) -> None:
    with pytest.raises(TandemError) as caught:
        live.client.record([event(live.new_user(), "", EventKind.EVENT_KIND_CLICK)])
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details.startswith("events[0].item_id: ")


def test_fifty_requests_at_once_are_all_answered(live: Live) -> None:
    users = [live.new_user() if n % 2 else live.users[n % len(live.users)] for n in range(50)]
    with ThreadPoolExecutor(max_workers=50) as pool:
        answers = list(pool.map(live.client.recommend, users))
    assert all(len(answer.items) == 10 for answer in answers)
