"""An orchestrator that has no release serves the first one that is built for it."""

import asyncio
from pathlib import Path

import pytest

from bench.random_release import write_random_release
from services.common.database import open_database
from services.common.errors import Unavailable
from services.common.releases import ReleaseRegistry
from services.orchestrator.release_switch import ReleaseSwitch


async def test_a_first_release_that_is_built_after_the_start_is_activated(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'tandem.db'}")
    registry, root = ReleaseRegistry(engine), tmp_path / "releases"
    replicas = [ReleaseSwitch(registry, root, [], 1.0, poll_seconds=0.05) for _ in range(2)]
    starting = [asyncio.create_task(replica.start()) for replica in replicas]
    await asyncio.sleep(0.2)
    with pytest.raises(Unavailable):
        replicas[0].current()
    built = write_random_release(root, 40, 8, seed=0)
    registry.add(built.release_id, {}, activate_at_start=True)
    await asyncio.wait_for(asyncio.gather(*starting), 10)
    assert {each.current().release_id for each in replicas} == {built.release_id}
    assert registry.active() == built.release_id
    for replica in replicas:
        await replica.close()
    engine.dispose()
