"""Settings as the environment gives them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.retrieval.index_kinds import IndexKind
from services.retrieval.merge import Quota
from services.retrieval.settings import RetrievalSettings


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("RETRIEVAL_PORT", "0")
    monkeypatch.setenv("RETRIEVAL_RELEASE_ROOT", str(tmp_path))
    monkeypatch.setenv("RETRIEVAL_DATABASE_URL", "sqlite://")
    return monkeypatch


def test_quotas_and_index_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RETRIEVAL_QUOTAS", '{"mf_ann": {"share": 0.2, "weight": 0.5}}')
    environment.setenv("RETRIEVAL_INDEX_KIND", "HNSW")
    settings = RetrievalSettings()
    assert settings.quotas == {"mf_ann": Quota(0.2, 0.5)}
    assert settings.index_kind is IndexKind.HNSW


@pytest.mark.parametrize(
    "quotas",
    ['{"mf_ann": {"share": 1.5, "weight": 1}}', '{"mf_ann": {"share": 0.1, "weight": 0}}', "many"],
)
def test_quotas_out_of_range_are_refused(environment: pytest.MonkeyPatch, quotas: str) -> None:
    environment.setenv("RETRIEVAL_QUOTAS", quotas)
    with pytest.raises((ValidationError, ValueError)):
        RetrievalSettings()
