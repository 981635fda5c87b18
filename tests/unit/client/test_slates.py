"""`tandem explain`, `replay` and `recommend --explain`: what people read of a slate."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from rich.console import Console

from services.common.ports import free_ports
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc
from tandem_cli import output
from tandem_cli.main import main
from tandem_cli.slate_tables import changes

HEAT = pb.RecommendedItem(
    item_id="h",
    title="Heat",
    score=0.5,
    source_ranks={"ease": 7, "tower_ann": 2},
    reasons=["because you watched Ronin", "popular"],
    propensity=0.9,
)
SOAP = pb.RecommendedItem(
    item_id="s", score=0.25, source_ranks={"promotion": 1}, label="Sponsored", propensity=1
)
TRACE = pb.Trace(
    rules_digest="0123456789abcdef",
    candidates=[
        pb.CandidateTrace(item_id="h", title="Heat", rank=2, place=1, score=2.5),
        pb.CandidateTrace(item_id="s", rank=3, place=2, source_ranks={"promotion": 1}),
        pb.CandidateTrace(item_id="c", rank=1, dropped_by="caps"),
        pb.CandidateTrace(item_id="n", rank=4),
        *(pb.CandidateTrace(item_id=f"x{n}", dropped_by="AdultFilter") for n in range(30)),
    ],
)


class Live(recommender_pb2_grpc.RecommenderServiceServicer):
    def __init__(self) -> None:
        self.ages: list[int] = []

    def Recommend(self, request: pb.RecommendRequest, context: object) -> pb.RecommendResponse:
        self.ages.append(request.context.age)
        trace = TRACE if request.explain else None
        return pb.RecommendResponse(items=[HEAT, SOAP], request_id="q1", trace=trace)


class Admin(recommender_pb2_grpc.AdminServiceServicer):
    def ExplainSlate(
        self, request: pb.ExplainSlateRequest, context: grpc.ServicerContext
    ) -> pb.ExplainSlateResponse:
        if request.request_id != "q1":
            context.abort(grpc.StatusCode.NOT_FOUND, "request q2 is not in the slate log")
        return pb.ExplainSlateResponse(
            request=pb.RecommendRequest(user_id="u", count=2),
            response=pb.RecommendResponse(
                items=[HEAT, SOAP], release_id="r1", level=pb.LEVEL_FULL, trace=TRACE
            ),
            rules="caps: {genre: 1}",
        )

    def ReplaySlate(
        self, request: pb.ReplaySlateRequest, context: grpc.ServicerContext
    ) -> pb.ReplaySlateResponse:
        if request.rules == "bad":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "rules:3: caps.genre: is no number")
        same = not request.HasField("rules")
        return pb.ReplaySlateResponse(
            identical=same, original=[HEAT, SOAP], items=[HEAT, SOAP] if same else [SOAP]
        )


@pytest.fixture
def live() -> Live:
    return Live()  # type: ignore[abstract]


class Shell:
    """Runs `tandem` on a system, on a wide terminal."""

    def __init__(self, port: int, capsys: pytest.CaptureFixture[str]) -> None:
        self._port, self._capsys = port, capsys

    def __call__(self, *arguments: str) -> str:
        main([*arguments, "--port", str(self._port)])
        return self._capsys.readouterr().out

    def failure(self, *arguments: str) -> str:
        with pytest.raises(SystemExit) as exit_:
            self(*arguments)
        assert exit_.value.code == 1
        captured = self._capsys.readouterr()
        assert not captured.out and captured.err.count("\n") == 1
        return captured.err


@pytest.fixture
def shell(
    live: Live, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    monkeypatch.setattr(output, "_console", Console(width=200))
    server = grpc.server(ThreadPoolExecutor(1))
    recommender_pb2_grpc.add_RecommenderServiceServicer_to_server(live, server)
    recommender_pb2_grpc.add_AdminServiceServicer_to_server(Admin(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Shell(port, capsys)
    server.stop(None).wait()


def cells(printed: str, first: str) -> list[str]:
    """The cells of the first row that begins with a text."""
    rows = ([each.strip() for each in line.split("│")[1:-1]] for line in printed.splitlines())
    return next(row for row in rows if row and row[0] == first)


def test_a_slate_is_explained_place_by_place(shell: Shell) -> None:
    printed = shell("explain", "q1")
    why = "because you watched Ronin; popular"
    assert cells(printed, "1") == [
        *("1", "h", "Heat", "0.5", "tower_ann 2, ease 7", why, "", "0.9", "2 → 1")
    ]
    assert cells(printed, "2") == [
        *("2", "s", "", "0.25", "promotion 1", "", "Sponsored", "1", "3 → 2")
    ]
    assert "user u, 2 asked for" in printed
    assert "LEVEL_FULL  release r1  rules 0123456789ab" in printed


def test_what_was_kept_out_is_counted_and_candidates_have_fates(shell: Shell) -> None:
    printed = shell("explain", "q1")
    assert cells(printed, "AdultFilter")[1] == "30"
    assert cells(printed, "caps")[1] == "1"
    assert cells(printed, "h")[-2:] == ["2", "place 1"]
    assert cells(printed, "c")[-2:] == ["1", "caps"]
    assert cells(printed, "n")[-1] == "not chosen"
    assert cells(printed, "x0")[-3:] == ["", "", "AdultFilter"]
    assert "30 of 34 candidates; --all shows every one" in printed
    assert "│ x29 " not in printed and "│ x29 " in shell("explain", "q1", "--all")


def test_an_explanation_is_one_document(shell: Shell) -> None:
    found = json.loads(shell("explain", "q1", "--json"))
    assert set(found) == {"request", "response", "served_at", "rules"}
    assert found["response"]["trace"]["candidates"][2]["dropped_by"] == "caps"


def test_a_request_that_is_not_logged_is_one_line(shell: Shell) -> None:
    assert "is not in the slate log" in shell.failure("explain", "q2")


def test_a_replay_says_whether_it_is_the_same(shell: Shell, tmp_path: Path) -> None:
    printed = shell("replay", "q1")
    assert "identical" in printed and "not identical" not in printed
    assert cells(printed, "1") == ["1", "Heat", "0.5", "Heat", "0.5", ""]
    rules = tmp_path / "rules.yaml"
    rules.write_text("")
    printed = shell("replay", "q1", "--rules", str(rules))
    assert "not identical" in printed
    assert cells(printed, "1") == ["1", "Heat", "0.5", "s", "0.25", "h is gone, s was 2"]
    assert cells(printed, "2") == ["2", "s", "0.25", "", "", ""]


def test_a_replay_as_json_has_both_slates(shell: Shell) -> None:
    found: dict[str, Any] = json.loads(shell("replay", "q1", "--json"))
    assert set(found) == {each.name for each in pb.ReplaySlateResponse.DESCRIPTOR.fields}
    assert found["identical"] is True and found["items"] == found["original"]


def test_faults_of_other_rules_are_named_in_their_file(shell: Shell, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("bad")
    failure = shell.failure("replay", "q1", "--rules", str(rules))
    assert failure == f"error: {rules}:3: caps.genre: is no number\n"


def test_recommend_explains_in_the_same_words(shell: Shell, live: Live) -> None:
    printed = shell("recommend", "u", "--explain", "--age", "12")
    assert "request q1" in printed
    assert cells(printed, "2")[-2:] == ["Sponsored", "3 → 2"]
    assert cells(printed, "AdultFilter")[1] == "30"
    assert cells(shell("recommend", "u"), "h") == ["h", "Heat", "0.5", ""]
    assert live.ages == [12, 0]


def test_only_scores_that_can_be_told_apart_are_changes() -> None:
    near, far = pb.RecommendedItem(), pb.RecommendedItem()
    near.CopyFrom(HEAT)
    far.CopyFrom(HEAT)
    near.score, far.score = 0.500001, 0.6
    assert changes([HEAT], [near])[0][-1] == ""
    assert changes([HEAT], [far])[0][-1] == "score"
    assert changes([], [HEAT])[0] == [1, "", "", "Heat", "0.5", "h is new"]


def test_a_system_that_is_down_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    down = Shell(free_ports(1)[0], capsys)
    for arguments in (("explain", "q"), ("replay", "q"), ("rules", "show")):
        assert "UNAVAILABLE" in down.failure(*arguments, "--state", str(tmp_path))
