"""What an operator of any running system relies on: rules, live items, releases."""

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import item
from tests.e2e.conftest import until
from tests.live.conftest import Live


@pytest.mark.usefixtures("rules_restored")
def test_a_blocked_item_is_in_no_slate(live: Live) -> None:
    users = [*live.users, live.new_user()]
    blocked = live.client.recommend(users[0]).items[0].item_id
    live.set_rules(f'block: {{items: ["{blocked}"]}}')
    held = live.client.get_rules()
    for user in users * 3:
        answer = live.client.recommend(user, count=100, explain=True)
        assert answer.trace.rules_digest == held.digest
        assert blocked not in {each.item_id for each in answer.items}


@pytest.fixture
def new_item(live: Live) -> Iterator[pb.Item]:
    """An item like those that a user gets; withdrawn afterwards."""
    made = item(f"live-{uuid4().hex}", title="Fresh From the Press", genres=["comedy", "Comedy"])
    yield made
    made.available = False
    assert live.client.upsert_items([made]).accepted == 1


def test_a_new_item_is_recommended_within_a_minute(live: Live, new_item: pb.Item) -> None:
    started = time.monotonic()
    assert live.client.upsert_items([new_item]).accepted == 1

    def shown() -> bool:
        answers = (live.client.recommend(user, count=500) for user in live.users)
        return any(each.item_id == new_item.item_id for one in answers for each in one.items)

    assert until(shown, 60)
    print(f"a new item was recommended after {time.monotonic() - started:.1f} s")


def test_the_release_that_answers_is_the_active_one(live: Live) -> None:
    releases = live.client.list_releases().releases
    (active,) = [each for each in releases if each.state == pb.RELEASE_STATE_ACTIVE]
    assert live.client.recommend(live.users[0]).release_id == active.release_id
    assert active.metrics
