"""Feast's configuration from the service's settings, through the YAML that operators use too."""

from pathlib import Path
from string import Template

import yaml  # type: ignore[import-untyped]
from feast import RepoConfig

from services.features.settings import FeaturesSettings

_FOLDER = Path(__file__).parent
_FILES = {"sqlite": "feature_store.yaml", "redis": "redis.yaml"}


def repo_config(settings: FeaturesSettings) -> RepoConfig:
    """The configuration; makes the folder its files live in."""
    store_root = settings.store_root.absolute()
    store_root.mkdir(parents=True, exist_ok=True)
    template = Template((_FOLDER / _FILES[settings.online_store]).read_text())
    text = template.substitute(
        FEATURES_STORE_ROOT=store_root,
        FEATURES_REDIS=settings.redis,
        FEATURES_REGISTRY_TYPE=settings.registry_type,
        FEATURES_REGISTRY_PATH=settings.registry_path or store_root / "registry.db",
    )
    return RepoConfig(**yaml.safe_load(text), repo_path=store_root)
