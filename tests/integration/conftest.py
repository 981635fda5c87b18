"""Fixtures of the integration tests."""

from tests.contract.feature_fixtures import (
    empty_redis,
    make_release,
    make_settings,
    postgres_address,
    postgres_url,
    redis_address,
    sqlite_url,
)
from tests.contract.milvus_process import lite

__all__ = [
    "empty_redis",
    "lite",
    "make_release",
    "make_settings",
    "postgres_address",
    "postgres_url",
    "redis_address",
    "sqlite_url",
]
