"""Settings of the orchestrator, read from `ORCHESTRATOR_*`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.common.settings import ServiceSettings


class OrchestratorSettings(ServiceSettings):
    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="ORCHESTRATOR_")

    port: int = Field(default=50051, ge=0, le=65535)
    """Port of the public API."""

    features_addresses: tuple[str, ...] = ("127.0.0.1:50052",)
    """Replicas of the features service; calls go round."""

    retrieval_addresses: tuple[str, ...] = ("127.0.0.1:50053",)
    """Replicas of the retrieval service; calls go round."""

    ranking_addresses: tuple[str, ...] = ("127.0.0.1:50054",)
    """Entrances to the ranking service, in order of preference."""

    candidates: int = Field(default=500, ge=1, le=5000)
    """Candidates that are ranked for a request."""

    rules_file: Path = Path("rules.yaml")
    """Rules of the slate; need not exist. Changes hold within a second."""

    release_poll_seconds: float = Field(default=1.0, gt=0)
    """How often the registry is asked which release is active."""

    prepare_seconds: float = Field(default=300.0, gt=0)
    """Time the other services get to prepare a release before its activation is given up."""

    probe_metric_margin: float = Field(default=0.2, ge=0, le=1)
    """How far, relative to the release that serves, nDCG@10 of one that is to serve may fall."""

    probe_seconds: float = Field(default=0.5, gt=0)
    """Median time of retrieval and ranking above which a release is not activated."""

    known_users: int = Field(default=10_000, ge=0)
    """Users whose last known features are kept for when the features service is down."""

    exploration_rate: float = Field(default=0.1, ge=0, le=1)
    """Chance that a slate gives one place to a new item; 0 turns exploration off."""

    exploration_days: float = Field(default=7.0, ge=0)
    """How long after its first upsert an item without events in the release counts as new."""

    slate_log_days: float = Field(default=30.0, ge=0)
    """How long served slates are kept in the log; 0 turns the log off."""

    slate_detail_days: float = Field(default=1.0, ge=0)
    """How long requests are kept whole, some kilobytes each, to be explained and replayed; 0 keeps
    none."""
