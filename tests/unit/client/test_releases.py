"""`tandem releases`: what was built, what became of it, and why it was refused."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from deploy.local.state import State
from services.common.database import open_database
from services.common.releases import ReleaseRegistry
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc
from tandem_cli.main import main

REASON = "recall@500 0.41 is below 0.95"


class _Refusing(recommender_pb2_grpc.AdminServiceServicer):
    def ActivateRelease(
        self, request: pb.ActivateReleaseRequest, context: grpc.ServicerContext
    ) -> pb.ActivateReleaseResponse:
        reason = f"release {request.release_id} was refused: {REASON}"
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, reason)


@pytest.fixture
def port() -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(1))
    recommender_pb2_grpc.add_AdminServiceServicer_to_server(_Refusing(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A system that is down, of which one release served and the next was refused."""
    state = State(tmp_path / "state")
    state.create()
    engine = open_database(state.database_url)
    registry = ReleaseRegistry(engine)
    registry.add("first", {"ndcg@10": 0.2})
    registry.activate("first")
    registry.add("second", {"ndcg@10": 0.1})
    registry.refuse("second", REASON)
    engine.dispose()
    return state


def test_a_refused_release_is_listed_with_its_reason_beside_all_metrics(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["releases", "list", "--json", "--state", str(state.path)])
    listed = json.loads(capsys.readouterr().out)
    told = [(r["release_id"], r["state"], r["metrics"]["ndcg@10"], r["reason"]) for r in listed]
    assert told == [("second", "FAILED", 0.1, REASON), ("first", "ACTIVE", 0.2, "")]
    main(["releases", "list", "--state", str(state.path)])
    printed = capsys.readouterr().out
    assert "recall@500" in printed and "FAILED" in printed


def test_what_is_refused_says_why_in_one_line(
    state: State, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["releases", "activate", "third", "--state", str(state.path), "--port", str(port)])
    assert exit_.value.code == 1
    said = f"error: FAILED_PRECONDITION: release third was refused: {REASON}\n"
    assert capsys.readouterr().err == said
