"""Fixtures that every suite may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Running, start
from training.synthetic import World, write_world


@pytest.fixture(scope="session")
def movielens() -> Path:
    """The MovieLens folder named by DATA; the test is skipped without one."""
    named = os.environ.get("DATA")
    if not named:
        pytest.skip("DATA names no MovieLens folder")
    return Path(named)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"), seed=7)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, world: World) -> Iterator[Running]:
    """The one system that all tests share which change nothing that another one looks at."""
    yield from start(tmp_path_factory.mktemp("system") / "state", world)
