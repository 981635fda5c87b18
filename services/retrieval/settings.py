"""Settings of the retrieval service."""

from collections.abc import Mapping

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.common.settings import ServiceSettings
from services.retrieval.index_kinds import IndexKind
from services.retrieval.merge import Quota


class RetrievalSettings(ServiceSettings):
    """Read from `RETRIEVAL_*` environment variables."""

    model_config = SettingsConfigDict(env_prefix="RETRIEVAL_", frozen=True, extra="forbid")

    port: int = Field(default=50053, ge=0, le=65535)
    """Port the gRPC server listens on; 0 picks a free one."""

    milvus_uri: str = "http://127.0.0.1:19530"
    """Where Milvus, or Milvus Lite run as a server, listens."""

    milvus_token: SecretStr = SecretStr("")
    """Token, or `user:password`, for a Milvus that asks for one."""

    index_kind: IndexKind | None = None
    """Index of the collections; unset: FLAT for small catalogues, above that HNSW on a Milvus
    server and IVF_FLAT on Milvus Lite."""

    flat_up_to: int = Field(default=100_000, ge=0)
    """Items up to which an unset `index_kind` means FLAT, which is exact."""

    least_recall: float = Field(default=0.99, ge=0, le=1)
    """Recall against exact search, measured on sampled queries, below which a collection is
    refused."""

    source_timeout_seconds: float = Field(default=0.8, gt=0)
    """Longest a candidate source may take, whatever the deadline."""

    source_budget_share: float = Field(default=0.8, gt=0, le=1)
    """Share of a request's remaining time that a candidate source may take."""

    quotas: Mapping[str, Quota] = Field(default_factory=dict)
    """Overrides of the sources' parts in the answer, a JSON object such as
    `{"mf_ann": {"share": 0.2, "weight": 0.5}}`; the defaults stand in `server.py`."""

    releases_held: int = Field(default=3, ge=2)
    """Releases kept loaded: the active one, the one before, the one being published."""
