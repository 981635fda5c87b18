"""`tandem refresh` and `tandem releases gc`, from the shell's side."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.local.state import State
from deploy.local.system import System
from services.common.database import open_database
from services.common.leases import Lease
from services.common.releases import ReleaseRegistry
from tandem_cli.main import main
from training.config import TrainingConfig
from training.job import train_from_log
from training.readers import read
from training.refresh import LEASE
from training.synthetic import write_world


class Orchestrator:
    """What a client of a running system would do."""

    def __init__(self, registry: ReleaseRegistry) -> None:
        self._registry = registry

    def __enter__(self) -> "Orchestrator":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def activate_release(self, release_id: str) -> None:
        self._registry.activate(release_id)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    folder = tmp_path_factory.mktemp("refresh")
    state = State(folder / "state")
    state.create()
    train_from_log(
        read(write_world(folder / "world", n_users=30, n_items=60).path),
        database_url=state.database_url,
        release_root=state.releases,
        activate_at_start=True,
        config=TrainingConfig(stored_items=5, threads=1),
    )
    return state


def answer(capsys: pytest.CaptureFixture[str], state: State, *arguments: str) -> Any:
    main([*arguments, "--state", str(state.path), "--json"])
    return json.loads(capsys.readouterr().out)


def failure(capsys: pytest.CaptureFixture[str], path: Path) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["refresh", "--state", str(path)])
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_refreshes_down_and_up_and_garbage(
    state: State, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_database(state.database_url)
    registry = ReleaseRegistry(engine)
    first = registry.pending()
    assert first is not None
    registry.activate(first)

    only_built = answer(capsys, state, "refresh", "--no-activate", "--from-scratch")
    assert only_built["start"] == "anew: as asked"
    assert not only_built["activated"] and registry.pending() is None
    assert only_built["metrics"] and only_built["garbage"]["releases"] == []

    down = answer(capsys, state, "refresh")
    assert not down["activated"] and registry.pending() == down["release_id"]
    assert registry.active() == first

    monkeypatch.setattr(System, "is_up", lambda _: True)
    monkeypatch.setattr("tandem_cli.train.connect", lambda *_: Orchestrator(registry))
    up = answer(capsys, state, "refresh")
    assert up["activated"] and registry.active() == up["release_id"]

    would = answer(capsys, state, "releases", "gc", "--keep", "0", "--dry-run")
    assert would["dry_run"] and len(registry.list()) == 4
    done = answer(capsys, state, "releases", "gc", "--keep", "0")
    assert done == {**would, "dry_run": False}
    assert done["kept"] == [up["release_id"], first]
    assert done["releases"] == [down["release_id"], only_built["release_id"]]
    assert {path.name for path in state.releases.iterdir()} == {up["release_id"], first}
    main(["releases", "gc", "--state", str(state.path)])
    assert capsys.readouterr().out.startswith("removed 0 releases")
    engine.dispose()


def test_a_refresh_in_progress_is_one_line_and_a_status(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = open_database(state.database_url)
    other = Lease(engine, LEASE, 60.0, "elsewhere, process 1")
    assert other.take()
    line = failure(capsys, state.path)
    assert line.startswith("error: a refresh is in progress since ")
    assert line.endswith("UTC (elsewhere, process 1)")
    other.give_back()
    engine.dispose()


def test_a_state_without_a_release_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "train one first" in failure(capsys, tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
