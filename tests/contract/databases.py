"""Both databases, for contracts that hold on each."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from services.common.database import open_database


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = open_database(request.getfixturevalue(f"{request.param}_url"))
    yield engine
    engine.dispose()
