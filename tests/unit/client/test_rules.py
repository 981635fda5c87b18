"""`tandem rules`, and what `tandem up` does with rules that are not valid."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from rich.console import Console

from deploy.local.state import State
from services.orchestrator.rules_yaml import ActiveRules, RulesError
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc
from tandem_cli import output
from tandem_cli.main import main

VALID = "block: {genres: [Horror, War], adult: true}\npromote:\n- {item_id: 7, slot: 2}\n"
BAD = "caps:\n  genre: 3\n  creator: many\n"
WHY = "3: caps.creator: input should be a valid integer"
WARNING = "block.genres: no genre 'Horror'"


class Admin(recommender_pb2_grpc.AdminServiceServicer):
    """Checks rules as the service does."""

    def __init__(self) -> None:
        self.text, self.requests = "", 0

    def GetRules(self, request: pb.GetRulesRequest, context: object) -> pb.GetRulesResponse:
        return pb.GetRulesResponse(rules=self.text, warnings=[WARNING] if self.text else [])

    def SetRules(
        self, request: pb.SetRulesRequest, context: grpc.ServicerContext
    ) -> pb.SetRulesResponse:
        active = self._checked(request.rules, context)
        self.text = active.text
        return pb.SetRulesResponse(digest=active.digest, warnings=[WARNING])

    def TryRules(
        self, request: pb.TryRulesRequest, context: grpc.ServicerContext
    ) -> pb.TryRulesResponse:
        self._checked(request.rules, context)
        self.requests = request.requests
        changed = [
            pb.ChangedSlate(
                request_id=f"q{n}",
                user_id="u",
                entering=[f"in{i}" for i in range(7)],
                leaving=["out"],
                moved=2,
            )
            for n in range(25)
        ]
        return pb.TryRulesResponse(
            requests=100, users=40, changed_users=1, changed=changed, kept_share=0.975, skipped=3
        )

    def _checked(self, text: str, context: grpc.ServicerContext) -> ActiveRules:
        try:
            return ActiveRules.of(text)
        except RulesError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))


@pytest.fixture
def admin() -> Admin:
    return Admin()  # type: ignore[abstract]


@pytest.fixture
def port(admin: Admin) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1))
    recommender_pb2_grpc.add_AdminServiceServicer_to_server(admin, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield str(port)
    server.stop(None).wait()


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_console", Console(width=200))


@pytest.fixture
def valid(tmp_path: Path) -> str:
    file = tmp_path / "valid.yaml"
    file.write_text(VALID)
    return str(file)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    return str(file)


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 1
    captured = capsys.readouterr()
    assert not captured.out and captured.err.count("\n") == 1
    return captured.err


def test_check_says_what_is_in_a_file(valid: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["rules", "check", valid])
    printed = capsys.readouterr().out
    assert f"{valid}: valid" in printed
    assert "genres Horror, War; adult yes" in printed and "item_id 7; slot 2" in printed
    main(["rules", "check", valid, "--json"])
    assert json.loads(capsys.readouterr().out)["promote"] == [{"item_id": "7", "slot": 2}]


def test_an_empty_file_is_no_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "empty.yaml"
    file.touch()
    main(["rules", "check", str(file)])
    assert capsys.readouterr().out == f"{file}: valid, no rules\n"


@pytest.mark.parametrize("command", ["check", "set", "try"])
def test_a_fault_is_named_by_file_and_line(
    command: str, bad: str, port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = failure(capsys, "rules", command, bad, "--port", port)
    assert said.startswith(f"error: {bad}:{WHY}")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"caps: {genre: 1}\nno such: 1\n", "2: no such: no such rule"),
        (b"block:\n  genres: Horror\n", "2: block.genres: must be a list"),
        (b"block: [\n", "2: expected the node content"),
        (b"\xff", "1: not UTF-8"),
    ],
)
def test_check_names_each_kind_of_fault(
    content: bytes, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_bytes(content)
    assert f"{file}:{why}" in failure(capsys, "rules", "check", str(file))


def test_a_file_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such file" in failure(capsys, "rules", "check", "/nonexistent.yaml")


def test_what_is_set_is_shown_with_warnings(
    admin: Admin, valid: str, port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["rules", "show", "--port", port])
    assert capsys.readouterr() == ("# no rules\n", "")
    main(["rules", "set", valid, "--port", port])
    captured = capsys.readouterr()
    assert captured.out == f"rules {ActiveRules.of(VALID).digest} hold\n"
    assert captured.err == f"warning: {WARNING}\n"
    assert admin.text == VALID
    main(["rules", "show", "--port", port])
    assert capsys.readouterr() == (VALID, f"warning: {WARNING}\n")


def test_try_says_whose_slates_would_change(
    admin: Admin, valid: str, port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["rules", "try", valid, "--requests", "100", "--port", port])
    printed = capsys.readouterr().out
    assert "users changed   1 of 40" in printed
    assert "slates changed  25 of 100, 3 more could not be tried" in printed
    assert "items kept      97.5%" in printed
    assert "in0, in1, in2, in3, in4 and 2 more" in printed
    assert "│ q19 " in printed and "│ q20 " not in printed
    assert "20 of 25 slates" in printed
    assert admin.requests == 100


def test_up_starts_nothing_with_rules_that_are_not_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State(tmp_path / "state")
    state.path.mkdir()
    state.rules.write_text(BAD)
    said = failure(capsys, "up", "--state", str(state.path), "--data", str(tmp_path))
    assert said.startswith(f"error: {state.rules}:{WHY}")
    assert list(state.path.iterdir()) == [state.rules]
