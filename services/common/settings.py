"""Settings every service has. A service's own settings extend these with its own prefix."""

import os
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Built once, in the service's `__main__`, from environment variables; frozen afterwards.

    A variable that carries the service's prefix but names no field is refused, so that a typing
    error never passes for a default.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address the gRPC server listens on."""

    port: int = Field(ge=0, le=65535)
    """Port the gRPC server listens on; 0 picks a free one."""

    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port of the Prometheus endpoint, on the same host; 0 turns it off."""

    release_root: Path
    """Folder that holds one subfolder a release."""

    database_url: str
    """SQLAlchemy URL of the event log, the release registry and the stored recommendations."""

    default_deadline_seconds: float = Field(default=2.0, gt=0)
    """Deadline of a call whose client set none."""

    max_concurrent_requests: int = Field(default=64, ge=1)
    """Calls in progress above which new ones are answered RESOURCE_EXHAUSTED at once."""

    max_connection_seconds: float = Field(default=0.0, ge=0)
    """Age at which a client is told to connect again, which fails no call. Clients look up a name
    only when they connect: so they come to know replicas that were added. 0 lets connections be."""

    drain_seconds: float = Field(default=5.0, ge=0)
    """Time that calls in progress get to finish when the service stops."""

    log_level: str = "INFO"
    """Lowest level that is logged."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_variables(cls, values: Any) -> Any:
        prefix = cls.model_config.get("env_prefix", "")
        if prefix:
            known = {f"{prefix}{name}".upper() for name in cls.model_fields}
            unknown = sorted(
                name
                for name in os.environ
                if name.upper().startswith(prefix.upper()) and name.upper() not in known
            )
            if unknown:
                raise ValueError(f"unknown setting {', '.join(unknown)}")
        return values
