"""Settings of the features service."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from models.trending import TREND_CAPACITY, TREND_ITEMS
from services.common.settings import ServiceSettings


class FeaturesSettings(ServiceSettings):
    """Environment variables carry the prefix `FEATURES_`."""

    model_config = SettingsConfigDict(env_prefix="FEATURES_", frozen=True, extra="forbid")

    port: int = Field(default=50052, ge=0, le=65535)
    """Port the gRPC server listens on; 0 picks a free one."""

    store_root: Path
    """Folder of Feast's own files: the SQLite online store, the file registry, and the offline
    store in `offline`, which one replica may use: with several, each needs a folder of its own."""

    online_store: Literal["sqlite", "redis"] = "sqlite"
    """Feast's online store. SQLite allows one replica only."""

    redis: str = "127.0.0.1:6379"
    """Feast's Redis connection string: `host:port,parameter=value,...`. Time-outs are half a second
    and nothing is tried twice, unless parameters say otherwise."""

    registry_type: Literal["file", "sql"] = "file"
    """Where Feast keeps its definitions. Every replica may have a file of its own."""

    registry_path: str = ""
    """File, or SQLAlchemy URL, of Feast's registry; empty means a file in `store_root`."""

    retention_days: float = Field(default=0.0, ge=0)
    """Days after which events are removed, counted from when they were recorded, not from when they
    happened; 0 keeps them for ever."""

    seen_cache_items: int = Field(default=2_000_000, ge=0)
    """Item ids that the cache of seen items may hold, over all users; about 100 bytes each."""

    trend_items: int = Field(default=TREND_CAPACITY, ge=TREND_ITEMS)
    """Items that the trend counts for each region, and for all regions together."""

    offline_days: float = Field(default=30.0, ge=0)
    """Days for which the offline store keeps a session; 0 keeps none."""

    offline_megabytes: int = Field(default=4_000, ge=1)
    """Size of the offline store above which the oldest sessions go."""
