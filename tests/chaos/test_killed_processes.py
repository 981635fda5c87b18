"""One system on embedded parts, whose processes are killed at random while events come in."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import psutil
import pytest

from deploy.local.state import State
from services.common.channels import open_channel
from services.common.database import open_database
from services.features.event_log import EventLog
from services.features.repo.config import repo_config
from services.features.settings import FeaturesSettings
from services.features.store import FeastStore
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import AsyncClient, TandemError
from tests.chaos.havoc import until, wreak
from tests.chaos.traffic import Traffic, make_events, send_all
from tests.chaos.truth import check_answers, check_log, check_store
from tests.e2e.conftest import Running, start
from training.synthetic import write_world

EVENTS = 20_000
USERS = [f"chaos-user-{number}" for number in range(100)]
KILLS = {"features": 6, "orchestrator": 4, "milvus": 3, "retrieval": 2}
SECONDS = 60.0
SEED = 5

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    world = write_world(tmp_path_factory.mktemp("world"), n_users=100, n_items=200, seed=7)
    yield from start(tmp_path_factory.mktemp("system") / "state", world)


async def kill(running: Running, name: str) -> None:
    """Kills the process of this name as soon as there is one."""
    while True:
        pid = (await asyncio.to_thread(running.processes)).get(name, {}).get("pid", 0)
        if pid:
            try:
                process = psutil.Process(pid)
                assert process.environ()["TANDEM_STATE"] == str(running.state)
                return process.kill()
            except psutil.NoSuchProcess:
                pass  # died of its own, or had not yet become what it is
        await asyncio.sleep(0.2)


async def wreck(running: Running, events: list[pb.Event]) -> tuple[Traffic, Counter[str]]:
    """Sends events while processes are killed."""
    async with AsyncClient(running.address) as client:
        return await asyncio.gather(
            send_all(client.record, events, clients=4, seconds=SECONDS, seed=SEED),
            wreak(partial(kill, running), KILLS, seed=SEED),
        )


async def all_is_well(running: Running) -> bool:
    processes = await asyncio.to_thread(running.processes)
    if not all(processes.get(name, {}).get("healthy", False) for name in KILLS):
        return False
    async with AsyncClient(running.address) as client:
        try:
            answers = [await client.recommend(user) for user in USERS[:10]]
        except TandemError:
            return False
    return all(answer.level == pb.LEVEL_FULL for answer in answers)


async def test_every_acknowledged_event_is_kept_once_whatever_is_killed(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State(running.state)
    engine = open_database(state.database_url)
    before = EventLog(engine).count()
    events = make_events(EVENTS, USERS, running.world.item_ids, SEED)
    began = time.monotonic()
    traffic, kills = await wreck(running, events)
    ended = time.monotonic()
    assert kills == KILLS
    assert traffic.acked == {event.event_id for event in events}
    assert await until(lambda: all_is_well(running), 90)
    with capsys.disabled():
        print(f"\nkilled {dict(kills)} in {ended - began:.0f} s, ", end="")
        print(f"well again after {time.monotonic() - ended:.1f} s; {traffic}")
    check_log(engine, events, before)
    async with open_channel([f"127.0.0.1:{state.ports().features}"]) as channel:
        await check_answers(engine, channel, USERS)
    await asyncio.to_thread(running.tandem, "down")  # which also pushes what it still has to
    settings = FeaturesSettings(
        release_root=state.releases, database_url=state.database_url, store_root=state.features
    )
    await check_store(engine, FeastStore(repo_config(settings)), USERS)
    engine.dispose()
