"""Wherever a refresh is killed, nothing is half there, and the next one succeeds."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from models.release import Release
from services.common.database import open_database
from services.common.garbage import collect
from services.common.leases import Lease
from services.common.releases import ReleaseRegistry
from services.common.stored import StoredRecommendations
from training.config import TrainingConfig
from training.job import train_from_log
from training.readers import read
from training.refresh import LEASE
from training.synthetic import write_world

KILLS = 5


@pytest.mark.slow
def test_a_refresh_that_is_killed_anywhere_leaves_nothing_half_active(tmp_path: Path) -> None:
    url, root = f"sqlite:///{tmp_path}/tandem.db", tmp_path / "releases"
    root.mkdir()
    world = write_world(tmp_path / "world", n_users=30, n_items=60)
    config = TrainingConfig(threads=1)
    first = train_from_log(
        read(world.path), database_url=url, release_root=root, activate_at_start=True, config=config
    )
    engine = open_database(url)
    registry, stored = ReleaseRegistry(engine), StoredRecommendations(engine)
    registry.activate(first.release_id)
    lease = Lease(engine, LEASE, 60.0)
    arguments = ["--database-url", url, "--release-root", str(root)]
    command = [sys.executable, "-m", "training.refresh", *arguments]

    def begun() -> "subprocess.Popen[str]":
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while lease.holder() is None:
            assert process.poll() is None
            time.sleep(0.02)
        return process

    process, began = begun(), time.monotonic()
    document = json.loads(process.communicate()[0])
    seconds = time.monotonic() - began
    assert process.returncode == 0 and lease.holder() is None

    rng = random.Random(0)
    killed = 0
    for n in range(KILLS):
        process = begun()
        time.sleep(rng.uniform(n, n + 1) / KILLS * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        assert registry.active() == first.release_id
        registered = {each.release_id for each in registry.list()}
        assert stored.releases() >= registered
        for release_id in registered:  # all that may be activated is whole
            Release(root / release_id).verify()
            assert stored.count(release_id) == len(Release(root / release_id).users)
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode == -signal.SIGKILL and again.returncode:
            assert again.stderr.startswith("error: a refresh is in progress since ")
        with engine.begin() as db:  # as if its minute had passed
            db.execute(text("UPDATE leases SET until = 0"))
    assert killed >= KILLS // 2

    last = subprocess.run(command, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    newest = json.loads(last.stdout)["release_id"]
    assert registry.pending() == newest != document["release_id"]
    collect(engine, root, build_seconds=0.0)
    registered = {each.release_id for each in registry.list()}
    assert {first.release_id, newest} <= registered
    assert {path.name for path in root.iterdir()} == registered == stored.releases()
    engine.dispose()
