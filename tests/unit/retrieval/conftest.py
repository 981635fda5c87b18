"""Fixtures of the retrieval tests."""

import pytest

from tests.unit.retrieval.world import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("releases"))
