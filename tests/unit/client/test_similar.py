"""`tandem similar`: what is served comes live, everything else from the event log."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from deploy.local.state import State
from models.events import EventKind
from models.neighbours import item_neighbours
from services.common.database import open_database
from services.common.ports import free_ports
from services.common.releases import ReleaseRegistry
from services.features.event_log import EventLog
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc
from tandem_cli.main import main
from tests.unit.retrieval.world import write_release

STARS = np.array(
    [[5.0, 4.0, 0.0, 1.0], [4.0, 4.5, 1.0, 0.0], [1.0, 0.0, 5.0, 4.0], [3.0, 2.0, 2.0, 0.5]]
)


class _Live(recommender_pb2_grpc.RecommenderServiceServicer):
    """Holds cosine with zeros."""

    def SimilarItems(
        self, request: pb.SimilarItemsRequest, context: grpc.ServicerContext
    ) -> pb.SimilarItemsResponse:
        if request.method not in ("", "cosine") or request.missing not in ("", "zero"):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "method: holds cosine")
        return pb.SimilarItemsResponse(release_id="live", method="cosine", missing="zero")


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A system that is down, with `STARS` in its event log as items item-0 to item-3."""
    state = State(tmp_path / "state")
    state.create()
    users, items = np.nonzero(STARS)
    frame = pd.DataFrame(
        {
            "user_id": [f"user-{user}" for user in users],
            "item_id": [f"item-{item}" for item in items],
            "kind": np.full(len(users), int(EventKind.RATING), np.int8),
            "value": STARS[users, items],
            "timestamp": np.arange(len(users), dtype=np.float64),
            "region": "",
        }
    )
    engine = open_database(state.database_url)
    EventLog(engine).import_frame(frame)
    engine.dispose()
    return state


@pytest.fixture
def closed_port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def live_port() -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(1))
    recommender_pb2_grpc.add_RecommenderServiceServicer_to_server(_Live(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


class Shell:
    """Runs `tandem similar` on one state."""

    def __init__(self, state: State, capsys: pytest.CaptureFixture[str]) -> None:
        self._state, self._capsys = state, capsys

    def answer(self, port: int, *arguments: str) -> dict[str, Any]:
        main(["similar", *arguments, "--json", *self._where(port)])
        answer: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return answer

    def failure(self, port: int, *arguments: str) -> str:
        with pytest.raises(SystemExit) as exit_:
            main(["similar", *arguments, *self._where(port)])
        assert exit_.value.code not in (0, None)
        captured = self._capsys.readouterr()
        assert not captured.out and captured.err.count("\n") == 1
        return captured.err

    def _where(self, port: int) -> list[str]:
        return ["--state", str(self._state.path), "--port", str(port)]


@pytest.fixture
def shell(state: State, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(state, capsys)


@pytest.mark.parametrize(
    ("method", "missing"), [("pearson", "user-average"), ("euclidean", "ignore"), ("cosine", "")]
)
def test_a_system_that_is_down_still_compares_by_a_method(
    shell: Shell, closed_port: int, method: str, missing: str
) -> None:
    expected = item_neighbours(
        csr_array(STARS),
        metric=method,
        missing=missing.replace("-", "_") or "zero",
        m=3,
        of=np.array([0]),
    )
    options = ["--missing", missing] if missing else []
    answer = shell.answer(closed_port, "item-0", "--method", method, *options)
    near = [row for row in expected.rows[0].tolist() if row >= 0]
    assert [item["item_id"] for item in answer["items"]] == [f"item-{row}" for row in near]
    np.testing.assert_allclose(
        [item["score"] for item in answer["items"]], expected.scores[0][: len(near)], rtol=1e-6
    )
    assert (answer["release_id"], answer["method"]) == ("", method)


def test_no_more_than_n_are_computed(shell: Shell, closed_port: int) -> None:
    assert len(shell.answer(closed_port, "item-0", "--method", "cosine", "-n", "2")["items"]) == 2


def test_what_the_release_holds_is_answered_live(shell: Shell, live_port: int) -> None:
    for options in ([], ["--method", "cosine"], ["--missing", "zero"]):
        assert shell.answer(live_port, "item-0", *options)["release_id"] == "live"


def test_what_the_release_does_not_hold_is_computed(shell: Shell, live_port: int) -> None:
    answer = shell.answer(live_port, "item-0", "--missing", "ignore")
    assert (answer["release_id"], answer["method"], answer["missing"]) == ("", "cosine", "ignore")
    assert answer["items"]


def test_titles_and_settings_are_those_of_the_release(
    shell: Shell, state: State, closed_port: int
) -> None:
    release = write_release(state.releases, items=4)
    engine = open_database(state.database_url)
    ReleaseRegistry(engine).add(release.release_id, {}, activate_at_start=True)
    engine.dispose()
    answer = shell.answer(closed_port, "item-0", "--method", "dot")
    assert [item["title"] for item in answer["items"]] == ["Title 1", "Title 2", "Title 3"]


def test_how_missing_values_count_is_the_releases_unless_said(
    shell: Shell, state: State, closed_port: int
) -> None:
    release = write_release(state.releases, items=4)
    manifest = json.loads((release.path / "release.json").read_text())
    manifest["config"]["neighbours"] = {"missing": "ignore", "min_support": 3, "shrink": 0.0}
    (release.path / "release.json").write_text(json.dumps(manifest))
    engine = open_database(state.database_url)
    ReleaseRegistry(engine).add(release.release_id, {}, activate_at_start=True)
    engine.dispose()
    answer = shell.answer(closed_port, "item-1", "--method", "dot")
    assert answer["missing"] == "ignore"
    assert [item["item_id"] for item in answer["items"]] == ["item-0"]  # no other by three users
    said = shell.answer(closed_port, "item-1", "--method", "dot", "--missing", "zero")
    assert said["missing"] == "zero"


def test_failures_are_one_line(shell: Shell, closed_port: int) -> None:
    assert "UNAVAILABLE" in shell.failure(closed_port, "item-0")
    assert "method: 'nope' is not one of" in shell.failure(
        closed_port, "item-0", "--method", "nope"
    )
    assert "missing: 'nope' is not one of" in shell.failure(
        closed_port, "item-0", "--missing", "nope"
    )
    assert "no event on 'nope'" in shell.failure(closed_port, "nope", "--method", "cosine")
    assert "must be 1 to 500" in shell.failure(closed_port, "item-0", "-n", "0")


def test_a_state_without_a_log_is_left_as_it_is(
    tmp_path: Path, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = State(tmp_path / "nowhere")
    assert "holds no event log" in Shell(nowhere, capsys).failure(
        closed_port, "item-0", "--method", "cosine"
    )
    assert not nowhere.path.exists()
