import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tandem_cli.measure import evaluate
from training.data import DataError


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Twelve users who went through five of eight items in order."""
    rows = [
        f"u{user},i{(user + step) % 8},view,{user + step}"
        for user in range(12)
        for step in range(5)
    ]
    (tmp_path / "events.csv").write_text("\n".join(["user_id,item_id,event,timestamp", *rows]))
    return tmp_path


def run(log: Path, *options: str) -> Result:
    return CliRunner().invoke(evaluate, ["--data", str(log), *options])


def test_the_answer_is_one_document_with_what_was_asked_for(log: Path) -> None:
    result = run(log, "--models", "transitions,popularity", "--json", "--protocol", "stream")
    document = json.loads(result.stdout)
    assert document["protocol"] == "stream"
    assert list(document["models"]) == ["transitions", "popularity"]
    contract = ("hr@10", "ndcg@10", "recall@100", "recall@500", "coverage@10")
    assert all(isinstance(document["models"]["popularity"][name], float) for name in contract)


def test_a_report_is_written_beside_the_table(log: Path) -> None:
    result = run(log, "--models", "popularity", "--report", str(log / "report.html"))
    assert result.exit_code == 0 and "leave-last-out, 12 users" in result.stdout
    assert "popularity" in (log / "report.html").read_text()


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_measured(log: Path) -> None:
    result = run(log, "--models", "nothing", "--report", str(log / "missing" / "report.html"))
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == click.BadParameter.exit_code
    assert "missing is not a folder" in result.stderr


def test_an_unknown_model_is_named(log: Path) -> None:
    result = run(log, "--models", "popularity,nothing")
    assert isinstance(result.exception, DataError)
    assert "'nothing'" in str(result.exception)
