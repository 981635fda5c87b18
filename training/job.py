"""From files and the live event log to a registered release: what `tandem train` and a training
job in a cluster both run.

    python -m training.job --data DIR --database-url URL --release-root DIR [--first]
"""

import os

if __name__ == "__main__":
    # Read when torch is imported, below; see `tandem_cli.main`.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path

import click
import numpy as np
import pandas as pd
from sqlalchemy import Engine

from models.release import Release
from services.common.database import open_database
from services.common.erased import ErasedUsers
from services.common.live_items import LiveItem, LiveItemTable
from services.common.releases import ReleaseRegistry, add_release
from services.common.stored import StoredRecommendations
from services.features.event_log import EventLog
from services.features.user_table import UserTable
from training.batch import read_lists
from training.commands import (
    activate_at,
    config_option,
    database_option,
    no_activate_option,
    orchestrator_option,
    root_option,
    run,
)
from training.config import TrainingConfig, read_config
from training.data import InteractionData, SkippedRow, assemble
from training.pipeline import train
from training.progress import show_progress
from training.readers import read

_LISTS_A_CHUNK = 2_000
_FROM_FILES = "trained from files"
_LONGEST_BUILD_SECONDS = 86_400.0


Erased = Callable[[Collection[str]], Collection[str]]
"""Tells which of some users were erased."""

Lists = Iterable[tuple[str, Sequence[str], Sequence[float]]]


def _always() -> None:
    pass


def known_users(files: pd.DataFrame, upserted: pd.DataFrame, erased: Erased) -> pd.DataFrame:
    """The users of files, less those who were erased, under what was upserted live.

    Args:
        files, upserted: `user_id`, `region` (str), `friends` (tuple of user ids).
        erased: who was erased.
    """
    ids = files["user_id"]
    replaced = set(upserted["user_id"]) | set(erased(ids.tolist()))
    kept = files[~ids.isin(replaced)]
    return pd.concat([kept, upserted], ignore_index=True) if len(upserted) else kept


def _kept(lists: Lists, erased: Erased) -> Lists:
    """Lists of users who were not erased, be it while the training ran."""
    rows = iter(lists)
    while chunk := list(islice(rows, _LISTS_A_CHUNK)):
        gone = erased([user_id for user_id, _, _ in chunk])
        yield from (row for row in chunk if row[0] not in gone)


def train_from_log(
    data: InteractionData,
    *,
    database_url: str,
    release_root: Path,
    activate_at_start: bool,
    config: TrainingConfig | None = None,
) -> Release:
    """Imports the files' events into the event log, learns from all of the log, builds a release.

    The import is idempotent, so files may be given again, and users' histories from files are live
    histories from then on. Events recorded live are in the log already. Items that were upserted
    live become the release's, and what was upserted of an item goes over what the files say.

    Args:
        data: what the files say, from `training.readers.read`.
        database_url: holds the event log, the registry and the stored recommendations.
        release_root: where the release folder goes; a killed run leaves its state beside it, in
            `checkpoints`, and an equal run goes on from there.
        activate_at_start: whether the next start of the system is to serve the release.
    """
    engine = open_database(database_url)
    try:
        EventLog(engine).import_frame(data.events)
        return build(
            engine,
            data.items,
            data.users,
            release_root=release_root,
            activate_at_start=activate_at_start,
            config=config,
            skipped=data.skipped,
        )
    finally:
        engine.dispose()


def build(
    engine: Engine,
    items: pd.DataFrame,
    users: pd.DataFrame,
    *,
    release_root: Path,
    activate_at_start: bool,
    config: TrainingConfig | None = None,
    skipped: Sequence[SkippedRow] = (),
    may_register: Callable[[], None] = _always,
    base: Release | str = _FROM_FILES,
) -> Release:
    """Learns from all of the event log, builds a release, and registers it with its stored lists.

    Args:
        engine: holds the event log, the registry and the stored recommendations.
        items, users: what is known of them besides what is in the database; see `InteractionData`.
        release_root, activate_at_start, config: as in `train_from_log`.
        skipped: rows of files that were left out.
        may_register: called before anything of the release is written to the database; raises when
            it must not be.
        base: as in `training.pipeline.train`; what was learnt from users who were erased since is
            never gone on from.

    Raises:
        DataError: the log holds no event.
    """
    if isinstance(base, Release) and _erased_since(engine, base):
        base = f"a user was erased since the day before {base.release_id}"
    erased = ErasedUsers(engine).among
    users = known_users(users, UserTable(engine).read_frame(), erased)
    items = with_live_items(items, LiveItemTable(engine).changes_since(0))
    everything = assemble(EventLog(engine).read_frame(), items, users, skipped)
    with show_progress() as progress:
        release = train(
            everything,
            config or TrainingConfig(),
            release_root,
            progress,
            release_root.parent / "checkpoints",
            base,
        )
    may_register()
    release_id, lists = release.release_id, StoredRecommendations(engine)
    # In one transaction, so that no lists are ever stored of a release that is not registered.
    lists.write(
        release_id,
        _kept(read_lists(release), erased),
        also=lambda db: add_release(
            db, release_id, release.manifest.metrics, activate_at_start=activate_at_start
        ),
    )
    lists.drop_erased(release_id)  # of those who were erased while that was written
    return release


def _erased_since(engine: Engine, release: Release) -> bool:
    """Whether anybody was erased who may have been in the log that a release learnt from."""
    sealed = datetime.fromisoformat(release.manifest.created_at).timestamp()
    return bool(ErasedUsers(engine).since(sealed - _LONGEST_BUILD_SECONDS))


def with_live_items(items: pd.DataFrame, live: Sequence[LiveItem]) -> pd.DataFrame:
    """Items (see `InteractionData`) with live ones; of an id that both hold, the live one stays."""
    if not live:
        return items
    upserted = pd.DataFrame(
        {
            "item_id": pd.Series([item.item_id for item in live], dtype=object),
            "title": pd.Series([item.title for item in live], dtype=object),
            "genres": pd.Series([item.genres for item in live], dtype=object),
            "year": np.array([item.year for item in live], dtype=np.int16),
            "adult": np.array([item.adult for item in live], dtype=np.bool_),
            "available": np.array([item.available for item in live], dtype=np.bool_),
            "creators": pd.Series([item.creators for item in live], dtype=object),
            "available_from": np.array([item.available_from for item in live]),
            "available_until": np.array([item.end for item in live]),
        }
    )
    both = pd.concat([items, upserted], ignore_index=True)
    return both.drop_duplicates("item_id", keep="last", ignore_index=True)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the log.")
@click.option("--first", is_flag=True, help="Does nothing when there is a release already.")
@database_option
@root_option
@orchestrator_option
@no_activate_option
@config_option
def main(
    data: Path,
    first: bool,
    database_url: str,
    release_root: Path,
    orchestrator: str | None,
    no_activate: bool,
    config_file: Path | None,
) -> None:
    """A release from a log; prints one JSON document."""
    if first and (known := _releases(database_url)):
        return print(json.dumps({"trained": False, "release_id": known[0], "activated": False}))
    release = train_from_log(
        read(data),
        database_url=database_url,
        release_root=release_root,
        activate_at_start=not no_activate,
        config=read_config(config_file) if config_file else None,
    )
    activated = not no_activate and activate_at(orchestrator)(release.release_id)
    document = {"trained": True, "release_id": release.release_id, "activated": activated}
    print(json.dumps(document | {"metrics": release.manifest.metrics}))


def _releases(database_url: str) -> list[str]:
    """Ids of those that are registered, newest first."""
    engine = open_database(database_url)
    try:
        return [each.release_id for each in ReleaseRegistry(engine).list()]
    finally:
        engine.dispose()


if __name__ == "__main__":
    run(main)
