"""What users of a running system see."""

import json
import math
from collections import Counter

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc
from tandem_client import AsyncClient, EventKind, TandemError, event
from tests.e2e.conftest import Running
from tests.integration.test_refused_events import BAD

STAGES = {"hydrate", "retrieve", "filter", "rank", "select"}
SERVICES = {
    "features": "tandem.features.v1.FeatureService",
    "retrieval": "tandem.retrieval.v1.RetrievalService",
    "ranking": "tandem.ranking.v1.RankingService",
    "orchestrator": "tandem.recommender.v1.RecommenderService",
}


def test_every_part_is_a_healthy_process_of_its_own(running: Running) -> None:
    processes = running.tandem("status")["processes"]
    assert {"milvus", *SERVICES} <= {each["name"] for each in processes}
    assert len({each["pid"] for each in processes}) == len(processes)
    assert all(each["healthy"] and each["rss_mb"] > 0 for each in processes)


@pytest.mark.parametrize("name", SERVICES)
def test_reflection_at_each_address_lists_the_service(running: Running, name: str) -> None:
    with grpc.insecure_channel(running.processes()[name]["address"]) as channel:
        assert SERVICES[name] in ProtoReflectionDescriptorDatabase(channel).get_services()


def test_a_known_user_gets_titled_unseen_items_at_the_full_level(running: Running) -> None:
    user = running.world.user_ids[0]
    answer = running.tandem("recommend", user, "-n", "10")
    ids = [item["item_id"] for item in answer["items"]]
    assert len(set(ids)) == 10
    assert not set(ids) & running.world.seen(user)
    assert all(item["title"] and item["sources"] for item in answer["items"])
    assert answer["level"] == "LEVEL_FULL"
    assert set(answer["stage_millis"]) >= STAGES
    assert answer["release_id"] == running.tandem("status")["release_id"]


def test_the_planted_favourites_come_out_on_top(running: Running) -> None:
    world = running.world
    users = world.user_ids[:60]
    ours = sum(_share(running, user, world.favourite(user)) for user in users) / len(users)
    # What a list that ignores the user would score: the share of each taste in the catalogue.
    sizes = Counter(world.taste_of(item) for item in world.item_ids)
    blind = sum(sizes[world.favourite(user)] for user in users) / len(users) / len(world.item_ids)
    assert ours >= 2.5 * blind
    assert ours >= 0.5


def test_a_new_users_clicks_turn_the_very_next_answer(running: Running) -> None:
    world = running.world
    user = "a-new-user"
    before = running.client.recommend(user)
    assert len(before.items) == 10
    counts = Counter(world.taste_of(item.item_id) for item in before.items)
    taste = min(world.tastes, key=lambda taste: counts[taste])
    clicked = [item for item in world.item_ids if world.taste_of(item) == taste][:5]
    running.client.record([event(user, item, EventKind.EVENT_KIND_CLICK) for item in clicked])
    after = running.client.recommend(user)
    share = sum(world.taste_of(item.item_id) == taste for item in after.items) / 10
    assert share >= max(0.5, 2 * counts[taste] / 10)
    assert not {item.item_id for item in after.items} & set(clicked)
    assert after.level == pb.LEVEL_FULL


def test_events_sent_along_count_for_one_answer_only(running: Running) -> None:
    user, item = "passing-by", running.world.item_ids[3]
    recent = [event(user, item, EventKind.EVENT_KIND_LIKE)]
    with_event = running.client.recommend(user, recent_events=recent)
    assert item not in {each.item_id for each in with_event.items}
    plain = running.client.recommend(user)
    assert [i.item_id for i in plain.items] != [i.item_id for i in with_event.items]
    assert [i.item_id for i in plain.items] == [
        i.item_id for i in running.client.recommend(user).items
    ]


def test_excluded_items_stay_out(running: Running) -> None:
    user = running.world.user_ids[1]
    first = [item.item_id for item in running.client.recommend(user).items]
    second = running.client.recommend(user, exclude_item_ids=first)
    assert len(second.items) == 10
    assert not {item.item_id for item in second.items} & set(first)


def test_a_slate_is_as_long_as_asked(running: Running) -> None:
    answer = running.client.recommend(running.world.user_ids[2], count=150)
    assert len({item.item_id for item in answer.items}) == 150


def test_the_trace_names_every_stage(running: Running) -> None:
    answer = running.client.recommend(running.world.user_ids[0], explain=True)
    assert {each.stage for each in answer.trace.stages} == STAGES
    assert not any(each.error for each in answer.trace.stages)


def test_an_answer_for_a_moment_long_ago_knows_nothing_later(running: Running) -> None:
    user = running.world.user_ids[0]
    last = running.world.last_event_time(user)
    early = running.client.recommend(user, time=1.0e9)
    late = running.client.recommend(user, time=last + 1)
    assert [i.item_id for i in early.items] != [i.item_id for i in late.items]


def test_stored_lists_are_served_and_hold_nothing_seen(running: Running) -> None:
    user = running.world.user_ids[0]
    answer = running.client.recommend_stored(user)
    assert answer.level == pb.LEVEL_STORED
    assert len(answer.items) == 10
    assert not {item.item_id for item in answer.items} & running.world.seen(user)
    assert running.client.recommend_stored("nobody").level == pb.LEVEL_POPULAR


def test_similar_items_share_the_taste(running: Running) -> None:
    world = running.world
    item = running.client.recommend(world.user_ids[0]).items[0].item_id
    found = running.tandem("similar", item, "-n", "5")["items"]
    same = [world.taste_of(each["item_id"]) == world.taste_of(item) for each in found]
    assert len(found) == 5 and sum(same) >= 3


def test_similar_users_share_the_taste(running: Running) -> None:
    world = running.world
    user = world.user_ids[0]
    found = running.client.similar_users(user, 10).users
    same = sum(world.favourite(each.user_id) == world.favourite(user) for each in found)
    assert same >= 5


def test_what_the_release_does_not_hold_is_not_found(running: Running) -> None:
    for call in (running.client.similar_items, running.client.similar_users):
        with pytest.raises(TandemError) as caught:
            call("nothing-like-this")
        assert caught.value.code is grpc.StatusCode.NOT_FOUND


def test_an_event_on_an_unknown_item_is_stored(running: Running) -> None:
    sent = event("someone", "an-item-of-tomorrow", EventKind.EVENT_KIND_VIEW)
    assert running.client.record([sent]).accepted == 1
    again = running.client.record([sent])
    assert (again.accepted, again.duplicates) == (0, 1)


def test_bad_events_are_named_and_good_ones_stored(running: Running) -> None:
    batch, user, click = [], "batch-user", EventKind.EVENT_KIND_CLICK
    for bad, item in zip(BAD.values(), running.world.item_ids, strict=False):
        broken = event(user, "never-stored", click)
        bad.change(broken)
        batch += [broken, event(user, item, click)]
    answer = running.client.record(batch)
    assert answer.accepted == len(BAD)
    assert [(each.index, each.field) for each in answer.errors] == [
        (2 * position, bad.field) for position, bad in enumerate(BAD.values())
    ]
    assert all(
        bad.reason in each.reason for bad, each in zip(BAD.values(), answer.errors, strict=True)
    )
    known = running.client.recommend(user, explain=True).trace.user
    assert (known.version, known.events) == (1, len(BAD))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RecommendRequest(user_id="", count=10), "user_id"),
        (pb.RecommendRequest(user_id="u" * 129, count=10), "user_id"),
        (pb.RecommendRequest(user_id="u", count=0), "count"),
        (pb.RecommendRequest(user_id="u", count=501), "count"),
        (
            pb.RecommendRequest(user_id="u", count=1, exclude_item_ids=["a", ""]),
            "exclude_item_ids[1]",
        ),
        (
            pb.RecommendRequest(
                user_id="u",
                count=1,
                recent_events=[
                    pb.Event(item_id="i", kind=EventKind.EVENT_KIND_CLICK, value=math.inf)
                ],
            ),
            "recent_events[0].value",
        ),
        (
            pb.RecommendRequest(
                user_id="u",
                count=1,
                recent_events=[
                    pb.Event(
                        item_id="i", kind=EventKind.EVENT_KIND_CLICK, timestamp=Timestamp(nanos=-1)
                    )
                ],
            ),
            "recent_events[0].timestamp",
        ),
        (
            pb.RecommendRequest(
                user_id="u", count=1, context=pb.Context(time=Timestamp(seconds=1, nanos=1 << 30))
            ),
            "context.time",
        ),
    ],
)
def test_malformed_requests_are_refused_by_field(
    running: Running, request_: pb.RecommendRequest, field: str
) -> None:
    with grpc.insecure_channel(running.address) as channel, pytest.raises(grpc.RpcError) as caught:
        recommender_pb2_grpc.RecommenderServiceStub(channel).Recommend(request_, timeout=5)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith(f"{field}: ")


def test_an_oversize_message_is_refused_and_the_server_lives(running: Running) -> None:
    with pytest.raises(TandemError) as caught:
        running.client.recommend("u", exclude_item_ids=["x" * 128] * 200_000)
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert running.client.recommend("u").items


async def test_the_async_client_gives_the_same_answer(running: Running) -> None:
    user = running.world.user_ids[3]
    async with AsyncClient(running.address) as client:
        answer = await client.recommend(user)
    expected = running.client.recommend(user)
    assert [i.item_id for i in answer.items] == [i.item_id for i in expected.items]


def test_json_output_is_one_document_with_every_field(running: Running) -> None:
    document = json.loads(json.dumps(running.tandem("recommend", "nobody-yet")))
    assert set(document) == {
        "items",
        "release_id",
        "level",
        "stage_millis",
        "request_id",
        "trace",
    }
    assert document["trace"] is None


def _share(running: Running, user: str, taste: str) -> float:
    items = running.client.recommend(user).items
    return sum(running.world.taste_of(item.item_id) == taste for item in items) / len(items)
