"""The commands of training jobs, run as a scheduler runs them."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from services.common.database import open_database
from services.common.releases import ReleaseRegistry
from training import collect_garbage, job
from training.commands import run
from training.synthetic import write_world


class Jobs:
    """Runs commands with what a job's pod has in its environment."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.world = write_world(folder / "world", n_users=30, n_items=60).path
        self.url = f"sqlite:///{folder}/tandem.db"
        self._capsys = capsys

    def __call__(self, command: click.Command, *arguments: str) -> Any:
        run(command, arguments)
        return json.loads(self._capsys.readouterr().out)


@pytest.fixture
def jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Jobs:
    made = Jobs(tmp_path, capsys)
    (tmp_path / "releases").mkdir()
    monkeypatch.setenv("TANDEM_DATABASE_URL", made.url)
    monkeypatch.setenv("TANDEM_RELEASE_ROOT", str(tmp_path / "releases"))
    return made


def test_a_first_release_is_trained_once_and_waits_for_an_orchestrator(jobs: Jobs) -> None:
    arguments = ("--data", str(jobs.world), "--first")
    built = jobs(job.main, *arguments)
    assert built["trained"] and not built["activated"] and "ndcg@10" in built["metrics"]
    engine = open_database(jobs.url)
    assert ReleaseRegistry(engine).pending() == built["release_id"]
    engine.dispose()
    again = jobs(job.main, *arguments)
    assert again == {"trained": False, "release_id": built["release_id"], "activated": False}
    assert jobs(collect_garbage.main, "--dry-run")["kept"] == [built["release_id"]]


def test_a_failure_is_one_line_and_a_status(
    jobs: Jobs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, said in (
        (("--data", "/nowhere"), "error: /nowhere"),
        (("--date", "/nowhere"), "error: No such option"),
    ):
        with pytest.raises(SystemExit) as ended:
            run(job.main, arguments)
        assert ended.value.code
        assert (text := capsys.readouterr().err).startswith(said) and text.count("\n") == 1
    monkeypatch.setenv("TANDEM_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(SystemExit):
        run(collect_garbage.main, ())
    assert capsys.readouterr().err.startswith("error: database: ")
