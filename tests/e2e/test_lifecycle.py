"""Systems come up, learn, go down, and live side by side."""

from pathlib import Path

import pytest

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import EventKind, event
from tests.e2e.conftest import Running, start, tandem
from training.synthetic import write_world


def test_training_while_up_switches_to_the_new_release_and_back(running: Running) -> None:
    first = running.tandem("status")["release_id"]
    trained = running.tandem("train", "--data", str(running.world.path))
    assert trained["activated"] and trained["release_id"] != first
    answer = running.client.recommend(running.world.user_ids[0])
    assert (answer.release_id, answer.level) == (trained["release_id"], pb.LEVEL_FULL)
    running.tandem("releases", "rollback")
    assert running.client.recommend(running.world.user_ids[0]).release_id == first
    states = {each["release_id"]: each["state"] for each in running.tandem("releases", "list")}
    assert states == {first: "ACTIVE", trained["release_id"]: "RETIRED"}


def test_two_systems_side_by_side_and_a_restart(
    running: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other_world = write_world(tmp_path_factory.mktemp("other-world"), seed=11)
    state = tmp_path_factory.mktemp("other") / "state"
    for other in start(state, other_world):
        assert other.address != running.address
        clicked = other_world.item_ids[0]
        other.client.record([event("only-here", clicked, EventKind.EVENT_KIND_CLICK)])
        mine, theirs = (
            {item.item_id for item in each.client.recommend("only-here", count=300).items}
            for each in (running, other)
        )
        assert clicked not in theirs and clicked in mine
        _restart(other, clicked)
    assert running.client.recommend("anyone").level == pb.LEVEL_FULL


def _restart(other: Running, clicked: str) -> None:
    """Down and up again: the same release and port, no training, no event lost."""
    release = other.tandem("status")["release_id"]
    assert tandem("down", "--state", str(other.state)).returncode == 0
    assert tandem("down", "--state", str(other.state)).returncode == 0
    up = tandem("up", "--detach", "--state", str(other.state), "--json")
    assert up.returncode == 0, up.stderr
    answer = other.client.recommend("only-here", count=300)
    assert answer.release_id == release
    assert clicked not in {item.item_id for item in answer.items}


def test_a_broken_log_is_refused_in_one_line_and_touches_nothing(tmp_path: Path) -> None:
    data, state = tmp_path / "data", tmp_path / "state"
    data.mkdir()
    (data / "movies.csv").write_text("movieId,title,genres\n1,A (2000),Drama\n")
    (data / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,1\n1,1,good,2\n")
    done = tandem("train", "--data", str(data), "--state", str(state))
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert "ratings.csv" in lines[0] and "3" in lines[0] and "rating" in lines[0]
    assert not state.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("recommend", "u", "--state", "/nonexistent/state", "--port", "1"),
        ("up", "--detach", "--state", "{tmp}/empty"),
        ("event", "u", "i", "fancy"),
        ("nonsense",),
    ],
)
def test_every_failure_is_one_clear_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = tandem(*(each.format(tmp=tmp_path) for each in arguments))
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("error: ")
