"""The Feast repository: entities and feature views. `feast apply` and the service both read it.

Rows of a release carry the release id in their entity key, so that a new release never overwrites
what an old one reads. Sessions belong to no release.
"""

from feast import Entity, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
release = Entity(name="release", join_keys=["release_id"], value_type=ValueType.STRING)


def _batch_source(name: str) -> FileSource:
    # Feast wants one for every view. Rows of releases are pushed; there are no such files.
    return FileSource(name=name, path=f"{name}.parquet", timestamp_field="event_timestamp")


SESSION_FOLDER = "offline/user_session"
"""Folder of the sessions' parquet parts, in the repository; `offline_parts.py` writes them."""

session_push = PushSource(
    name="session_push",
    batch_source=FileSource(
        name="session_batch",
        path=SESSION_FOLDER,
        timestamp_field="event_timestamp",  # of the newest event
        created_timestamp_column="version_time",  # the version as a time: of one instant, the last
    ),
)

user_session = FeatureView(
    name="user_session",
    description="Recent events of a user, oldest first; sessions.py says how they are made.",
    entities=[user],
    source=session_push,
    schema=[
        Field(name="item_ids", dtype=Array(String)),
        Field(name="kinds", dtype=Array(Int32)),
        Field(name="timestamps", dtype=Array(Float64)),
        Field(name="values", dtype=Array(Float64)),
        Field(name="region", dtype=String),
        Field(name="version", dtype=Int64),
        Field(name="counts_minutes", dtype=Array(Int32)),
        Field(name="counts_hours", dtype=Array(Int32)),
        Field(name="counts_days", dtype=Array(Int32)),
        Field(name="hours_watched", dtype=Array(Float32)),
        Field(name="session_start", dtype=Float64),
        Field(name="taste_item_ids", dtype=Array(String)),
        Field(name="taste_weights", dtype=Array(Float32)),
    ],
)

user_profile = FeatureView(
    name="user_profile",
    description="A user as one release knows it.",
    entities=[user, release],
    source=_batch_source("profile_batch"),
    schema=[
        Field(name="region", dtype=String),
        Field(name="friends", dtype=Array(String)),
        Field(name="factors", dtype=Array(Float32)),
    ],
)

item_metadata = FeatureView(
    name="item_metadata",
    description="An item as one release knows it.",
    entities=[item, release],
    source=_batch_source("metadata_batch"),
    schema=[
        Field(name="title", dtype=String),
        Field(name="genres", dtype=Array(String)),
        Field(name="year", dtype=Int64),
        Field(name="adult", dtype=Bool),
        Field(name="vector", dtype=Array(Float32)),
    ],
)

release_rows = FeatureView(
    name="release_rows",
    description="Row counts of a release; written last, so its presence says that all rows are in.",
    entities=[release],
    source=_batch_source("release_batch"),
    schema=[Field(name="users", dtype=Int64), Field(name="items", dtype=Int64)],
)

ENTITIES = [user, item, release]
VIEWS = [user_session, user_profile, item_metadata, release_rows]
