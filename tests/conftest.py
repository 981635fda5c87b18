"""Fixtures that every suite may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def movielens() -> Path:
    """The MovieLens folder named by DATA; the test is skipped without one."""
    named = os.environ.get("DATA")
    if not named:
        pytest.skip("DATA names no MovieLens folder")
    return Path(named)
