"""Rules shape slates of a running system; each slate is explained and made again."""

from collections import Counter
from collections.abc import Iterator

import grpc
import pytest

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import TandemError
from tests.e2e.conftest import Running, tandem, until

BAD = "caps:\n  genre: 3\n  creator: many\n"


@pytest.fixture(autouse=True)
def no_rules_afterwards(running: Running) -> Iterator[None]:
    """Other tests share the system."""
    try:
        yield
    finally:
        running.client.set_rules("")


def ids(items: "list[pb.RecommendedItem]") -> list[str]:
    return [item.item_id for item in items]


def rules_for(running: Running, user: str) -> tuple[str, str, str]:
    """Rules that hide the user's best item and promote an unlikely one: text, hidden, promoted."""
    seen = running.world.seen(user)
    ranked = ids(list(running.client.recommend(user, count=200).items))
    promoted = next(item for item in reversed(ranked) if item not in seen)
    text = f"""
block:
  items: ["{ranked[0]}"]
promote:
  - item_id: "{promoted}"
    slot: 2
    label: Sponsored
    budget: 1000
caps:
  genre: 4
"""
    return text, ranked[0], promoted


def test_rules_hold_from_the_next_request_on(running: Running) -> None:
    user = running.world.user_ids[4]
    text, hidden, promoted = rules_for(running, user)
    set_ = running.client.set_rules(text)
    assert list(set_.warnings) == []
    held = running.client.get_rules()
    assert (held.rules, held.digest) == (text, set_.digest)
    answer = running.client.recommend(user, explain=True)
    assert len(answer.items) == 10 and hidden not in ids(list(answer.items))
    sponsored = answer.items[1]
    assert (sponsored.item_id, sponsored.label) == (promoted, "Sponsored")
    assert "promotion" in sponsored.sources
    assert answer.trace.rules_digest == set_.digest
    fates = {each.item_id: each for each in answer.trace.candidates}
    assert fates[hidden].dropped_by == "BlockedItemsFilter"
    assert fates[promoted].place == 2


def test_what_is_blocked_is_in_no_list_of_any_kind(running: Running) -> None:
    user, client = running.world.user_ids[6], running.client
    stored, similar = client.recommend_stored(user).items[0].item_id, running.world.item_ids[0]
    neighbour = client.similar_items(similar).items[0].item_id
    client.set_rules(
        f'policies: [{{audience: {{younger_than: 18}}, block: {{items: ["{stored}"]}}}}]'
    )
    assert stored not in ids(list(client.recommend_stored(user).items))
    client.set_rules(f'windows: [{{items: ["{neighbour}"], ends: 2020-01-01T00:00:00Z}}]')
    after = client.similar_items(similar)
    assert neighbour not in [item.item_id for item in after.items]
    assert len(after.items) == 10


def test_an_explained_item_names_what_of_the_users_own_brought_it(running: Running) -> None:
    user = running.world.user_ids[7]
    answer = running.client.recommend(user, explain=True)
    seen = running.world.seen(user)
    named = [cause for item in answer.items for cause in item.causes]
    assert {cause.item_id for cause in named} <= seen
    assert all(cause.drop > 0 and cause.title for cause in named)
    assert sum(bool(item.causes) for item in answer.items) >= 8
    assert all(item.reasons[0].startswith("because you ") for item in answer.items if item.causes)
    assert all(item.source_ranks.keys() == set(item.sources) for item in answer.items)


def test_caps_are_kept(running: Running) -> None:
    running.client.set_rules("caps: {genre: 4}")
    world, known = running.world, set(running.world.item_ids)  # other tests add items
    for user in world.user_ids[:10]:
        shown = ids(list(running.client.recommend(user).items))
        counts = Counter(world.taste_of(item) for item in shown if item in known)
        assert max(counts.values()) <= 4


def test_a_slate_is_explained_and_comes_out_the_same_again(running: Running) -> None:
    user = running.world.user_ids[4]
    text, hidden, promoted = rules_for(running, user)
    running.client.set_rules(text)
    answer = running.client.recommend(user)
    running.client.set_rules("")
    explained = running.client.explain_slate(answer.request_id)
    assert (explained.rules, explained.request.user_id) == (text, user)
    assert ids(list(explained.response.items)) == ids(list(answer.items))
    assert explained.response.items[1].label == "Sponsored"
    assert any(each.item_id == hidden for each in explained.response.trace.candidates)
    again = running.tandem("replay", answer.request_id)
    assert again["identical"]
    assert [item["item_id"] for item in again["items"]] == ids(list(answer.items))
    without = running.client.replay_slate(answer.request_id, rules="")
    assert not without.identical
    assert without.items[0].item_id == hidden
    assert promoted not in ids(list(without.items))
    printed = tandem("explain", answer.request_id, "--state", str(running.state))
    assert printed.returncode == 0 and "BlockedItemsFilter" in printed.stdout


def test_what_rules_would_change_is_known_beforehand(running: Running) -> None:
    user = running.world.user_ids[5]
    before = running.client.recommend(user)
    first = before.items[0].item_id
    same = running.client.try_rules("", requests=1)
    assert (same.requests, same.changed_users, same.kept_share) == (1, 0, 1.0)
    tried = running.client.try_rules(f'block: {{items: ["{first}"]}}', requests=1)
    assert (tried.requests, tried.users, tried.changed_users) == (1, 1, 1)
    (changed,) = tried.changed
    assert (changed.request_id, changed.user_id) == (before.request_id, user)
    assert list(changed.leaving) == [first] and len(changed.entering) == 1
    assert tried.kept_share == pytest.approx(0.9)
    assert running.client.recommend(user).items[0].item_id == first


def test_rules_that_are_not_valid_are_refused_and_the_old_ones_stay(running: Running) -> None:
    text = "caps: {genre: 4}"
    running.client.set_rules(text)
    for call in (running.client.set_rules, running.client.try_rules):
        with pytest.raises(TandemError) as caught:
            call(BAD)
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details.startswith("rules:3: caps.creator: ")
    assert running.client.get_rules().rules == text


def test_an_unknown_genre_is_a_warning(running: Running) -> None:
    (warning,) = running.client.set_rules("block: {genres: [Nonesuch]}").warnings
    assert warning == "block.genres: no genre 'Nonesuch'"


def test_a_change_of_the_file_is_followed(running: Running) -> None:
    file = running.state / "rules.yaml"
    file.write_text("caps: {genre: 5}")
    assert until(lambda: running.client.get_rules().rules == "caps: {genre: 5}", 3)
    file.write_text(BAD)
    assert not until(lambda: running.client.get_rules().rules != "caps: {genre: 5}", 2)
    file.unlink()
    assert until(lambda: running.client.get_rules().rules == "", 3)


def test_a_slate_that_was_never_served_is_not_found(running: Running) -> None:
    for call in (running.client.explain_slate, running.client.replay_slate):
        with pytest.raises(TandemError) as caught:
            call("no-such-request")
        assert caught.value.code is grpc.StatusCode.NOT_FOUND


def test_a_release_that_was_never_built_is_not_found(running: Running) -> None:
    served = running.client.recommend(running.world.user_ids[6])
    for release_id in ("no-such-release", "../releases"):
        with pytest.raises(TandemError) as caught:
            running.client.replay_slate(served.request_id, release_id)
        assert caught.value.code is grpc.StatusCode.NOT_FOUND
    assert running.client.replay_slate(served.request_id, served.release_id).identical
