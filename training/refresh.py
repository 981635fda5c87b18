"""A refresh: a new release from the event log alone, as a scheduler starts it.

    python -m training.refresh --database-url URL --release-root DIR [--orchestrator HOST:PORT]

`tandem refresh` runs the same on one machine.
"""

import os

if __name__ == "__main__":
    # Read when torch is imported, below; see `tandem_cli.main`.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click
import pandas as pd
from sqlalchemy import Engine

from models.errors import ReportedError
from models.release import Release, ReleaseError
from services.common.database import open_database
from services.common.garbage import KEEP, Garbage, collect
from services.common.leases import Lease
from services.common.releases import ReleaseRegistry
from training.commands import (
    Activate,
    activate_at,
    config_option,
    database_option,
    from_scratch_option,
    no_activate_option,
    orchestrator_option,
    root_option,
    run,
)
from training.config import ConfigError, TowerConfig, TrainingConfig, read_config
from training.job import build
from training.pipeline import SETTINGS

LEASE = "refresh"
LEASE_SECONDS = 60.0
_RENEW_SECONDS = 10.0


class RefreshError(ReportedError):
    """There is nothing to refresh, or another refresh is at it; the text says which."""


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did.

    Attributes:
        release: what was built.
        activated: whether it serves now.
        garbage: what was collected after that.
    """

    release: Release
    activated: bool
    garbage: Garbage


def refresh(
    database_url: str,
    release_root: Path,
    *,
    activate: Activate | None,
    config: TrainingConfig | None = None,
    keep: int = KEEP,
    from_scratch: bool = False,
) -> Refreshed:
    """Learns from the whole event log, builds a release, activates it, and collects garbage.

    Items and users are those of the release that serves, under what was upserted live since; erased
    users are left out. One process does it at a time.

    Args:
        database_url: holds the event log, the registry and the stored recommendations.
        release_root: folder of the release folders.
        activate: puts the release into service; where it answers False, the next start of the
            system does. None only builds.
        config: None for the settings of the release that is refreshed.
        keep: newest releases that stay; see `services.common.garbage.collect`.
        from_scratch: starts the towers anew, not from those of the release that is refreshed.

    Raises:
        RefreshError: a refresh is in progress, no release can be read, or this process stood still
            for so long that another began.
        DataError: the log holds no event.
    """
    engine = open_database(database_url)
    try:
        with _alone(engine) as lease:
            base = _base(ReleaseRegistry(engine), release_root)
            release = build(
                engine,
                _items(base),
                _users(base),
                release_root=release_root,
                activate_at_start=activate is not None,
                config=config or settings_of(base),
                may_register=lambda: _still_ours(lease),
                base="as asked" if from_scratch else base,
            )
            try:
                activated = activate is not None and activate(release.release_id)
            except Exception:  # a release that is refused night after night must not fill the disk
                collect(engine, release_root, keep=keep)
                raise
            return Refreshed(release, activated, collect(engine, release_root, keep=keep))
    finally:
        engine.dispose()


def settings_of(release: Release) -> TrainingConfig:
    """What a release was trained with; towers that followed from the size of its log follow from
    the next log's again. The defaults where a release does not say."""
    try:
        config = read_config(release.path / SETTINGS)
    except ConfigError:
        return TrainingConfig()  # of a version that had other settings, or kept none
    if config.towers == TowerConfig.for_events(release.manifest.n_events):
        return replace(config, towers=None)
    return config


@contextmanager
def _alone(engine: Engine) -> Iterator[Lease]:
    lease = Lease(engine, LEASE, LEASE_SECONDS, f"{socket.gethostname()}, process {os.getpid()}")
    if not lease.take():
        raise _in_progress(lease)
    with lease.renewed(_RENEW_SECONDS):
        yield lease


def _still_ours(lease: Lease) -> None:
    if not lease.take():
        raise _in_progress(lease)


def _in_progress(lease: Lease) -> RefreshError:
    holder = lease.holder()
    if holder is None:  # it has just ended
        return RefreshError("another refresh was in progress")
    since = datetime.fromtimestamp(holder.since, UTC)
    return RefreshError(f"a refresh is in progress since {since:%F %T} UTC ({holder.who})")


def _base(registry: ReleaseRegistry, release_root: Path) -> Release:
    """The release that waits to serve, else the one that serves, else the newest that is whole."""
    first = [registry.pending(), registry.active()]
    for release_id in [*first, *(each.release_id for each in registry.list())]:
        if release_id is None:
            continue
        try:
            release = Release(release_root / release_id)
            _ = release.items, release.users
            return release
        except (ReleaseError, OSError, ValueError, KeyError) as error:
            logging.getLogger(__name__).warning("release %s is passed over: %s", release_id, error)
    raise RefreshError(f"{release_root} holds no release to refresh: train one first")


def _items(release: Release) -> pd.DataFrame:
    """A release's items as `InteractionData` has them."""
    items = release.items
    return pd.DataFrame(
        {
            "item_id": items.ids,
            "title": items.titles,
            "genres": pd.Series(items.genres, dtype=object),
            "year": items.years,
            "adult": items.adult,
            "available": items.available,
            "creators": pd.Series(items.creators, dtype=object),
            "available_from": items.available_from,
            "available_until": items.available_until,
        }
    )


def _users(release: Release) -> pd.DataFrame:
    """A release's users as `InteractionData` has them."""
    users = release.users[["user_id", "region"]].astype(object)
    friends = [tuple(map(str, each)) for each in release.users["friends"]]
    return users.assign(friends=pd.Series(friends, dtype=object))


@click.command()
@database_option
@root_option
@orchestrator_option
@no_activate_option
@config_option
@from_scratch_option
@click.option("--keep", type=click.IntRange(min=0), default=KEEP, help="Newest releases that stay.")
def main(
    database_url: str,
    release_root: Path,
    orchestrator: str | None,
    no_activate: bool,
    config_file: Path | None,
    from_scratch: bool,
    keep: int,
) -> None:
    """A new release from the event log alone; prints one JSON document."""
    done = refresh(
        database_url,
        release_root,
        activate=None if no_activate else activate_at(orchestrator),
        config=read_config(config_file) if config_file else None,
        keep=keep,
        from_scratch=from_scratch,
    )
    manifest = done.release.manifest
    document = {
        "release_id": manifest.release_id,
        "activated": done.activated,
        "start": manifest.config["start"],
        "metrics": manifest.metrics,
        "garbage": asdict(done.garbage),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    run(main)
