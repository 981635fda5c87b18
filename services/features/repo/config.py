"""Feast's configuration from the service's settings, through the YAML that operators use too."""

from pathlib import Path
from string import Template

import yaml
from feast import RepoConfig
from sqlalchemy.pool import NullPool

from services.features.settings import FeaturesSettings

_FOLDER = Path(__file__).parent
_FILES = {"sqlite": "feature_store.yaml", "redis": "redis.yaml"}


_REDIS_DEFAULTS = {
    # All calls share one thread: none may hang, nor sleep for seconds between attempts.
    "socket_timeout": "0.5",
    "socket_connect_timeout": "0.5",
    "retry": "null",
}


def repo_config(settings: FeaturesSettings) -> RepoConfig:
    """The configuration; makes the folder its files live in."""
    store_root = settings.store_root.absolute()
    store_root.mkdir(parents=True, exist_ok=True)
    template = Template((_FOLDER / _FILES[settings.online_store]).read_text())
    text = template.substitute(
        FEATURES_STORE_ROOT=store_root,
        FEATURES_REDIS=_with_defaults(settings.redis),
        FEATURES_REGISTRY_TYPE=settings.registry_type,
        FEATURES_REGISTRY_PATH=settings.registry_path or store_root / "registry.db",
    )
    config = yaml.safe_load(text)
    if settings.registry_type == "sql":
        # Read once, then cached for good; Feast would keep its connections open and never end them.
        config["registry"]["sqlalchemy_config_kwargs"] = {"poolclass": NullPool}
    return RepoConfig(**config, repo_path=store_root)


def _with_defaults(connection: str) -> str:
    """A connection string that says all that `_REDIS_DEFAULTS` says, unless it says otherwise."""
    said = {part.partition("=")[0] for part in connection.split(",")}
    missing = [f"{name}={value}" for name, value in _REDIS_DEFAULTS.items() if name not in said]
    return ",".join([connection, *missing])
