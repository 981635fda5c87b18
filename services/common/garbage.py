"""Collects garbage: releases that nobody needs any more, and what killed builds left behind."""

import contextlib
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from services.common.collected import CollectedReleases, write_down
from services.common.errors import FailedPrecondition
from services.common.releases import ReleaseRegistry, remove_release
from services.common.stored import StoredRecommendations

KEEP = 3
BUILD_SECONDS = 3_600.0
"""Age below which what is not registered counts as a build in progress."""

CHECKPOINT_SECONDS = 86_400.0

_RELEASE = r"\d{8}-\d{6}-[0-9a-f]{8}"
_FOLDER = re.compile(rf"{_RELEASE}|\.{_RELEASE}\.building")
_CHECKPOINTS = ("*.pt", "*.pt.*.new")


@dataclass(frozen=True)
class Garbage:
    """What was collected, or would be.

    Attributes:
        kept: ids of the registered releases that stay, newest first.
        releases: ids of those that go, newest first.
        folders: names of folders that go, those of `releases` and what builds left.
        stored_lists: users' lists that go.
        checkpoints: names of files that go.
    """

    kept: list[str]
    releases: list[str]
    folders: list[str]
    stored_lists: int
    checkpoints: list[str]


def collect(
    engine: Engine,
    release_root: Path,
    *,
    keep: int = KEEP,
    dry_run: bool = False,
    build_seconds: float = BUILD_SECONDS,
) -> Garbage:
    """Removes what nobody needs. Whatever ends it midway, the next collection finishes.

    The active release stays, the one before it, which a rollback needs, the one that waits for the
    next start, and the `keep` newest. Vectors and rows of the online store are dropped by the
    services themselves, see `collected`.

    Args:
        engine: database of the registry and the stored lists.
        release_root: folder of the release folders; checkpoints are beside it.
        keep: newest releases that stay.
        dry_run: only say what would go.
        build_seconds: age below which an unregistered folder, and its lists, are left alone.
    """
    registry, stored = ReleaseRegistry(engine), StoredRecommendations(engine)
    kept, doomed = _sorted_out(registry, keep)
    if not dry_run:
        doomed = [each for each in doomed if _strike_off(engine, each)]
        kept = [each.release_id for each in registry.list()]
    gone = {*doomed, *CollectedReleases(engine).all()}
    folders = _folders(release_root)
    young = {path.name for path in folders if _age(path) < build_seconds} - gone
    unneeded = [path for path in folders if path.name not in young.union(kept)]
    orphans = stored.releases() - young.union(kept)
    lists = sum(map(stored.count if dry_run else stored.drop, sorted(orphans)))
    checkpoints = _old_checkpoints(release_root.parent / "checkpoints")
    if not dry_run:
        for path in unneeded:
            shutil.rmtree(path, ignore_errors=True)  # somebody else may collect it, too
        for path in checkpoints:
            path.unlink(missing_ok=True)
    return Garbage(
        kept,
        doomed,
        [path.name for path in unneeded],
        lists,
        [path.name for path in checkpoints],
    )


def _sorted_out(registry: ReleaseRegistry, keep: int) -> tuple[list[str], list[str]]:
    """Ids of releases that stay, and of those that go, both newest first."""
    ids = [each.release_id for each in registry.list()]
    needed = {*ids[:keep], registry.active(), registry.pending()}
    with contextlib.suppress(FailedPrecondition):  # there may be none
        needed.add(registry.previous())
    return [each for each in ids if each in needed], [each for each in ids if each not in needed]


def _strike_off(engine: Engine, release_id: str) -> bool:
    """Off the registry first: from then on nobody begins to use it. False when it was activated
    meanwhile, or somebody else was faster."""
    with engine.begin() as db:
        struck_off = remove_release(db, release_id)
        if struck_off:
            write_down(db, release_id)
    return struck_off


def _folders(release_root: Path) -> list[Path]:
    """Folders of releases and of builds, by name; no others that may be there."""
    if not release_root.is_dir():
        return []
    return sorted(path for path in release_root.iterdir() if _FOLDER.fullmatch(path.name))


def _old_checkpoints(folder: Path) -> list[Path]:
    found = {path for pattern in _CHECKPOINTS for path in folder.glob(pattern)}
    return sorted(path for path in found if _age(path) > CHECKPOINT_SECONDS)


def _age(path: Path) -> float:
    """Seconds since anything in a folder, or a file, last changed."""
    newest = 0.0
    try:
        for each in (path, *(path.iterdir() if path.is_dir() else ())):
            newest = max(newest, each.stat().st_mtime)
    except FileNotFoundError:
        return 0.0  # somebody is at it: it was just renamed, or is being collected
    return time.time() - newest
