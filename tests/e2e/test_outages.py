"""Every part is killed in turn: answers go on, say their level, and become full again."""

import pytest

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import EventKind, event
from tests.e2e.conftest import Running, answers_fully, kill, until

DEGRADED = {
    "features": {pb.LEVEL_NO_SESSION},
    "retrieval": {pb.LEVEL_STORED},
    "milvus": {pb.LEVEL_STORED},
    "ranking": {pb.LEVEL_UNRANKED},
}


@pytest.mark.parametrize("part", DEGRADED)
def test_recommend_survives_the_death_of_a_part(running: Running, part: str) -> None:
    user = running.world.user_ids[5]
    seen = running.world.seen(user)
    assert until(lambda: answers_fully(running.client, user), 30)
    kill(running.processes()[part]["pid"])
    levels = []
    for _ in range(20):
        answer = running.client.recommend(user)
        levels.append(answer.level)
        assert len({item.item_id for item in answer.items}) == 10
        assert not {item.item_id for item in answer.items} & seen
    assert set(levels) <= DEGRADED[part] | {pb.LEVEL_FULL}
    assert DEGRADED[part] & set(levels)
    assert until(lambda: answers_fully(running.client, user), 60)
    assert until(lambda: running.processes().get(part, {}).get("healthy", False), 30)


def test_ranking_goes_on_by_another_way_when_its_ingress_is_killed(running: Running) -> None:
    user = running.world.user_ids[6]
    assert until(lambda: answers_fully(running.client, user), 30)
    kill(running.processes()["ray-haproxy"]["pid"])
    levels = [running.client.recommend(user).level for _ in range(50)]
    assert levels.count(pb.LEVEL_FULL) >= 45
    assert until(lambda: "ray-haproxy" in running.processes(), 60)


def test_nothing_acked_is_lost_when_the_features_service_is_killed(running: Running) -> None:
    user, items = "unlucky", running.world.item_ids[:3]
    for item in items:
        assert running.client.record([event(user, item, EventKind.EVENT_KIND_LIKE)]).accepted == 1
        kill(running.processes()["features"]["pid"])
        assert until(lambda: answers_fully(running.client, user), 60)
        shown = running.client.recommend(user, count=200)
        assert item not in {each.item_id for each in shown.items}
