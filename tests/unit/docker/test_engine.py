"""Which program builds images, on machines where programs are there but do not work."""

from pathlib import Path

import pytest

from deploy.docker.engine import EngineError, find_engine


@pytest.fixture
def only_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder of programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(folder: Path, name: str, status: int) -> None:
    (folder / name).write_text(f"#!/bin/sh\nexit {status}\n")
    (folder / name).chmod(0o755)


def test_a_client_without_an_engine_is_passed_over(only_here: Path) -> None:
    put(only_here, "docker", 1)
    put(only_here, "podman", 0)
    assert find_engine(None).program == "podman"


def test_the_one_that_is_named_is_used(only_here: Path) -> None:
    for name in ("docker", "podman", "buildah"):
        put(only_here, name, 0)
    assert find_engine("buildah").program == "buildah"


@pytest.mark.parametrize("named", [None, "docker"])
def test_nothing_that_answers_is_an_error(only_here: Path, named: str | None) -> None:
    put(only_here, "docker", 1)
    with pytest.raises(EngineError, match="does not answer: install podman"):
        find_engine(named)
