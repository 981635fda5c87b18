"""Switching and rolling back are quick, whatever the services and the database do."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bench.random_release import write_random_release
from services.common.errors import FailedPrecondition, NotFound, Unavailable
from services.common.releases import ReleaseRegistry, remove_release
from services.orchestrator.clients import Prepared
from services.orchestrator.release_switch import ReleaseSwitch
from tests.unit.orchestrator.test_catalogue import until

SOON = 1.0
"""Seconds a rollback may take."""


async def nothing(_release_id: str) -> None:
    pass


async def hangs(_release_id: str) -> None:
    await asyncio.sleep(60)


async def is_down(_release_id: str) -> None:
    raise Unavailable("down")


async def refuses(_release_id: str) -> None:
    raise FailedPrecondition("the collection is gone")


@dataclass
class Service:
    """Prepares releases; `then` is what else it does."""

    then: Callable[[str], Awaitable[None]] = nothing
    prepared: list[str] = field(default_factory=list)

    async def prepare(self, release_id: str, timeout: float) -> Prepared:
        self.prepared.append(release_id)
        await self.then(release_id)
        return Prepared("service", 40)


@pytest.fixture
def releases(tmp_path: Path, engine: Engine) -> list[str]:
    made = [write_random_release(tmp_path / "releases", 40, 8, seed) for seed in range(3)]
    for each in made:
        ReleaseRegistry(engine).add(each.release_id, {})
    return [each.release_id for each in made]


@dataclass
class Bench:
    switch: ReleaseSwitch
    service: Service
    registry: ReleaseRegistry
    root: Path
    engine: Engine

    async def rolled_back(self) -> str:
        async with asyncio.timeout(SOON):
            return (await self.switch.rollback()).release_id

    def serving(self) -> tuple[str, str | None]:
        """Here, and by the registry."""
        return self.switch.current().release_id, self.registry.active()


@pytest.fixture
async def bench(tmp_path: Path, engine: Engine, releases: list[str]) -> Bench:
    """The second release serves; the first did before."""
    registry, service, root = ReleaseRegistry(engine), Service(), tmp_path / "releases"
    bench = Bench(
        ReleaseSwitch(registry, root, [service], 60, 0.02), service, registry, root, engine
    )
    for each in releases[:2]:
        await bench.switch.activate(each)
    return bench


@pytest.mark.parametrize("then", [hangs, is_down])
async def test_a_rollback_does_not_wait_for_a_service_that_does_not_answer(
    bench: Bench, releases: list[str], then: Callable[[str], Awaitable[None]]
) -> None:
    bench.service.then = then
    assert await bench.rolled_back() == releases[0]
    assert bench.serving() == (releases[0], releases[0])
    await bench.switch.close()


async def test_a_rollback_does_not_wait_for_a_release_that_is_being_accepted(
    bench: Bench, releases: list[str]
) -> None:
    bench.service.then = hangs
    accepting = asyncio.create_task(bench.switch.activate(releases[2]))
    await until(lambda: releases[2] in bench.service.prepared)
    bench.service.then = nothing
    assert await bench.rolled_back() == releases[0]
    accepting.cancel()


async def test_a_rollback_that_a_service_refuses_is_refused(
    bench: Bench, releases: list[str]
) -> None:
    bench.service.then = refuses
    with pytest.raises(FailedPrecondition, match="the collection is gone"):
        await bench.switch.rollback()
    assert bench.serving() == (releases[1], releases[1])
    bench.service.then = nothing
    assert await bench.rolled_back() == releases[0]


@pytest.mark.parametrize("gone", ["", "items.parquet"])
async def test_a_rollback_to_files_that_are_gone_is_refused_and_names_them(
    bench: Bench, releases: list[str], gone: str
) -> None:
    path = bench.root / releases[0] / gone
    path.unlink() if gone else shutil.rmtree(path)
    with pytest.raises(FailedPrecondition, match=f"{releases[0]}/{gone}.*(missing|no such)"):
        await bench.switch.rollback()
    assert bench.serving() == (releases[1], releases[1])


async def test_a_rollback_needs_nothing_of_the_release_that_it_leaves(
    bench: Bench, releases: list[str]
) -> None:
    shutil.rmtree(bench.root / releases[1])
    assert await bench.rolled_back() == releases[0]


async def test_a_database_that_is_busy_holds_up_the_record_but_not_the_switch(
    bench: Bench, releases: list[str]
) -> None:
    await bench.switch.start()  # follows the registry, every few milliseconds
    with bench.engine.connect() as writer:
        writer.exec_driver_sql("BEGIN IMMEDIATE")
        rolling_back = asyncio.create_task(bench.switch.rollback())
        async with asyncio.timeout(SOON):
            await until(lambda: bench.switch.current().release_id == releases[0])
        await asyncio.sleep(0.1)
        assert bench.serving() == (releases[0], releases[1]) and not rolling_back.done()
        writer.rollback()
    await rolling_back
    assert bench.serving() == (releases[0], releases[0])
    await bench.switch.close()


async def test_a_release_that_is_collected_meanwhile_does_not_serve(
    bench: Bench, releases: list[str]
) -> None:
    async def collect(release_id: str) -> None:
        with bench.engine.begin() as db:
            remove_release(db, release_id)

    bench.service.then = collect
    with pytest.raises(NotFound, match=releases[0]):
        await bench.switch.rollback()
    assert bench.serving() == (releases[1], releases[1])


async def test_after_a_start_the_release_before_is_made_ready_too(
    bench: Bench, releases: list[str]
) -> None:
    service = Service()
    started = ReleaseSwitch(bench.registry, bench.root, [service], 60, 60)
    await started.start()
    await until(lambda: set(service.prepared) == set(releases[:2]))
    await until(lambda: started.before() is not None)
    service.then = hangs
    async with asyncio.timeout(SOON):
        await started.rollback()
    assert started.current().release_id == releases[0]
    await started.close()


async def test_a_service_that_the_active_release_keeps_down_does_not_keep_it_active(
    bench: Bench, releases: list[str]
) -> None:
    service = Service(is_down)
    started = ReleaseSwitch(bench.registry, bench.root, [service], 60, 60)
    await started.start()
    async with asyncio.timeout(SOON):
        await started.rollback()
    assert started.current().release_id == bench.registry.active() == releases[0]
    await started.close()


async def test_an_active_release_that_is_gone_can_be_rolled_back_from_during_the_start(
    bench: Bench, releases: list[str]
) -> None:
    shutil.rmtree(bench.root / releases[1])
    started = ReleaseSwitch(bench.registry, bench.root, [Service()], 60, 0.02)
    starting = asyncio.create_task(started.start())
    await asyncio.sleep(0.1)
    assert not starting.done()
    await started.rollback()
    await starting
    assert started.current().release_id == releases[0]
    await started.close()


async def test_a_switch_made_elsewhere_is_followed(bench: Bench, releases: list[str]) -> None:
    await bench.switch.start()
    bench.registry.activate(releases[0])
    await until(lambda: bench.switch.current().release_id == releases[0])
    await bench.switch.close()
