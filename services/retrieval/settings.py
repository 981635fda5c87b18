"""Settings of the retrieval service."""

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.common.settings import ServiceSettings
from services.retrieval.index_kinds import IndexKind


class RetrievalSettings(ServiceSettings):
    """Read from `RETRIEVAL_*` environment variables."""

    model_config = SettingsConfigDict(env_prefix="RETRIEVAL_", frozen=True, extra="forbid")

    milvus_uri: str = "http://127.0.0.1:19530"
    """Where Milvus, or Milvus Lite run as a server, listens."""

    milvus_token: SecretStr = SecretStr("")
    """Token, or `user:password`, for a Milvus that asks for one."""

    index_kind: IndexKind | None = None
    """Index of the collections; unset: FLAT for small catalogues, above that HNSW on a Milvus
    server and IVF_FLAT on Milvus Lite."""

    flat_up_to: int = Field(default=100_000, ge=0)
    """Items up to which an unset `index_kind` means FLAT, which is exact."""

    search_timeout_seconds: float = Field(default=0.3, gt=0)
    """Longest wait for one vector search, whatever the deadline."""

    source_budget_share: float = Field(default=0.8, gt=0, le=1)
    """Share of a request's remaining time after which a source that has not answered is dropped."""

    quotas: Mapping[str, int] = MappingProxyType({})
    """Overrides of the sources' guaranteed candidates (a JSON object by source name); the defaults
    stand in `server.py`."""

    releases_held: int = Field(default=3, ge=2)
    """Releases kept loaded: the active one, the one before, the one being published."""
