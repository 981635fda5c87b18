"""Fixtures of the features service's unit tests."""

from tests.contract.feature_fixtures import make_release, make_settings, sqlite_url

__all__ = ["make_release", "make_settings", "sqlite_url"]
