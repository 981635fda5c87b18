"""Deletes rows of the online store by key. Feast has no call for it: see its stores' own formats.

The format is documented by Feast (docs/specs/online_store_format.md), and a contract test on each
store notices when it changes.
"""

from collections.abc import Sequence
from typing import Any

from feast import FeatureView, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore

from services.features.feast_rows import Key, entity_key


def delete_rows(
    store: OnlineStore, config: RepoConfig, view: FeatureView, keys: Sequence[Key]
) -> None:
    """Deletes a view's rows by key, those that are there.

    On Redis, a key's rows of all views share one hash, which goes as a whole; no two views of this
    repository have the same key.
    """
    encoded = [
        serialize_entity_key(
            entity_key(key),
            entity_key_serialization_version=config.entity_key_serialization_version,
        )
        for key in keys
    ]
    delete = _delete_from_sqlite if config.online_store.type == "sqlite" else _delete_from_redis
    delete(store, config, view, encoded)


def _delete_from_sqlite(
    store: Any, config: RepoConfig, view: FeatureView, keys: Sequence[bytes]
) -> None:
    delete = f'DELETE FROM "{config.project}_{view.name}" WHERE entity_key = ?'
    connection = store._get_conn(config)
    connection.execute("PRAGMA secure_delete = ON")  # overwrites, rather than only unlinks
    try:
        with connection as db:
            db.executemany(delete, [(key,) for key in keys])
    finally:
        connection.execute("PRAGMA secure_delete = OFF")


def _delete_from_redis(
    store: Any, config: RepoConfig, _view: FeatureView, keys: Sequence[bytes]
) -> None:
    with store._get_client(config.online_store).pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.delete(key + config.project.encode())
        pipe.execute()
