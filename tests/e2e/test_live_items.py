"""A new item in a running system: recommended within a minute, without a new release."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import EventKind, event, item
from tests.e2e.conftest import Running, until

ITEM = "fresh-from-the-press"


@pytest.fixture
def gone_afterwards(running: Running, tmp_path: Path) -> Iterator[None]:
    """Other tests of this system see no new items, and so no exploration."""
    yield
    (tmp_path / "items.csv").write_text(f"item_id,available\n{ITEM},false\n")
    answer = running.tandem("upsert-items", str(tmp_path / "items.csv"))
    assert answer == {"accepted": 1, "errors": []}
    assert until(lambda: place(running, running.world.user_ids[0]) is None, 10)


def place(running: Running, user: str) -> int | None:
    """The place of the new item among a user's first hundred, from 0."""
    answer = running.client.recommend(user, count=100)
    ids = [each.item_id for each in answer.items]
    return ids.index(ITEM) if ITEM in ids and answer.level == pb.LEVEL_FULL else None


@pytest.mark.usefixtures("gone_afterwards")
def test_a_new_item_is_recommended_at_once_until_seen_or_withdrawn(running: Running) -> None:
    world, client = running.world, running.client
    user, other = [u for u in world.user_ids if world.favourite(u) == "horror"][:2]
    taste = world.favourite(user)
    started = time.monotonic()
    new = item(ITEM, title="Horror Story 1000 (2024)", genres=[taste], year=2024)
    assert client.upsert_items([new]).accepted == 1
    assert until(lambda: place(running, user) is not None, 60)
    print(f"recommended after {time.monotonic() - started:.3f} s, place {place(running, user)}")
    answer = client.recommend(user, count=100, explain=True)
    assert answer.level == pb.LEVEL_FULL
    (shown,) = [each for each in answer.items if each.item_id == ITEM]
    assert "new_items" in shown.sources
    assert shown.title == "Horror Story 1000 (2024)"
    assert shown.parts["towers"] != 0
    assert client.record([event(user, ITEM, EventKind.EVENT_KIND_LIKE)]).accepted == 1
    assert place(running, user) is None
    assert place(running, other) is not None
    assert client.upsert_items([item(ITEM, genres=[taste], available=False)]).accepted == 1
    assert until(lambda: place(running, other) is None, 1.5)
