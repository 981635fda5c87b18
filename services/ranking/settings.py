"""Settings of the ranking service, read from `RANKING_*`."""

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.common.settings import ServiceSettings

_LONGEST_RUNTIME_DIR = 35  # a socket's path may have 107 bytes; Ray and HAProxy append up to 72


class RankingSettings(ServiceSettings):
    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="RANKING_")

    port: int = Field(default=50054, ge=1, le=65535)
    """Port of the ingress: HAProxy, which forwards to the replicas."""

    fallback_port: int = Field(default=50055, ge=1, le=65535)
    """Port of Ray Serve's own proxy, which answers while HAProxy is away."""

    runtime_dir: Path = Path("/tmp/tandem-ranking")
    """Folder of Ray's and HAProxy's sockets, logs and session files; one per system."""

    min_replicas: int = Field(default=1, ge=1)
    """Replicas that always run."""

    max_replicas: int = Field(default=4, ge=1)
    """Replicas that may run under load."""

    target_ongoing_requests: float = Field(default=2.0, gt=0)
    """Calls in progress per replica that autoscaling aims at."""

    max_ongoing_requests: int = Field(default=16, ge=1)
    """Calls a replica works on at once; up to `max_concurrent_requests`, the rest wait."""

    max_concurrent_requests: int = Field(default=64, ge=1)
    """Calls at one replica above which new ones are answered RESOURCE_EXHAUSTED at once."""

    default_deadline_seconds: float = Field(default=300.0, gt=0)
    """Longest time any call may take, whatever its client allows; preparing a release is one."""

    upscale_delay_seconds: float = Field(default=2.0, ge=0)
    """Time the load must stay above the target before replicas are added."""

    downscale_delay_seconds: float = Field(default=60.0, ge=0)
    """Time the load must stay below the target before replicas are removed."""

    metrics_interval_seconds: float = Field(default=1.0, gt=0)
    """How often replicas report their load."""

    loaded_releases: int = Field(default=3, ge=2)
    """Releases a replica holds in memory; the least recently used one is dropped first."""

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas is below min_replicas")
        if self.max_concurrent_requests < self.max_ongoing_requests:
            raise ValueError("max_concurrent_requests is below max_ongoing_requests")
        return self

    @field_validator("runtime_dir")
    @classmethod
    def _short_enough_for_sockets(cls, value: Path) -> Path:
        if len(str(value.absolute())) > _LONGEST_RUNTIME_DIR:
            raise ValueError(
                f"{value.absolute()} is longer than {_LONGEST_RUNTIME_DIR} characters; "
                "socket paths below it would be too long"
            )
        return value.absolute()
