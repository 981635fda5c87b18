import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from services.common.settings import ServiceSettings


class ExampleSettings(ServiceSettings):
    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="EXAMPLE_")

    port: int = 0


@pytest.fixture(autouse=True)
def needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_RELEASE_ROOT", "/tmp/releases")
    monkeypatch.setenv("EXAMPLE_DATABASE_URL", "sqlite://")


def test_variables_with_the_prefix_become_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_PORT", "1234")
    assert ExampleSettings().port == 1234


def test_a_misspelt_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_PROT", "1234")
    with pytest.raises(ValidationError, match="EXAMPLE_PROT"):
        ExampleSettings()


def test_settings_cannot_change_after_the_start() -> None:
    settings = ExampleSettings()
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]
