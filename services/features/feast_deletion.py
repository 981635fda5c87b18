"""Deletes rows of the online store by key or by release. Feast has no call for it.

So this knows the formats of its stores. They are documented by Feast
(docs/specs/online_store_format.md), and a contract test on each store notices when they change.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from feast import FeatureView, RepoConfig
from feast.infra.key_encoding_utils import deserialize_entity_key, serialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore

from services.features.feast_rows import Key, entity_key

_KEYS_A_BATCH = 500


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


def delete_rows_of_release(
    store: OnlineStore, config: RepoConfig, view: FeatureView, release_id: str
) -> Iterator[int]:
    """Deletes a view's rows whose key names a release, a batch of keys at a step.

    It looks at all keys, since the rows of a release may be known from nowhere else. On Redis, they
    go for all views at once.

    Yields:
        After each batch, how many keys had rows to delete.
    """
    name = release_id.encode()
    of_store = _sqlite_keys if config.online_store.type == "sqlite" else _redis_keys
    delete = _delete_from_sqlite if config.online_store.type == "sqlite" else _delete_from_redis
    for keys in of_store(store, config, view, name):
        found = [key for key in keys if name in key and _release_of(key) == release_id]
        if found:
            delete(store, config, view, found)
        yield len(found)


def _release_of(key: bytes) -> str:
    """Empty for a key that names none."""
    read = deserialize_entity_key(key, entity_key_serialization_version=3)
    values = dict(zip(read.join_keys, read.entity_values, strict=True))
    return str(values["release_id"].string_val) if "release_id" in values else ""


def _sqlite_keys(
    store: Any, config: RepoConfig, view: FeatureView, _name: bytes
) -> Iterator[list[bytes]]:
    query = (
        f'SELECT DISTINCT entity_key FROM "{config.project}_{view.name}" '
        "WHERE entity_key > ? ORDER BY entity_key LIMIT ?"
    )
    last = b""
    while rows := store._get_conn(config).execute(query, (last, _KEYS_A_BATCH)).fetchall():
        yield [key for (key,) in rows]
        last = rows[-1][0]


def _redis_keys(
    store: Any, config: RepoConfig, _view: FeatureView, name: bytes
) -> Iterator[list[bytes]]:
    """Keys that hold a name, which is one of letters, digits and dashes."""
    client, project, cursor = store._get_client(config.online_store), config.project.encode(), 0
    while True:
        pattern = b"*" + name + b"*" + project
        cursor, found = client.scan(cursor, match=pattern, count=_KEYS_A_BATCH)
        yield [key.removesuffix(project) for key in found]
        if not cursor:
            return


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
