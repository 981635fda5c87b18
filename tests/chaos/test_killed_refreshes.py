"""A refresh of a running system that is killed at 20 random moments, on either database."""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from models.release import Release
from services.common.collected import LOOK_SECONDS, CollectedReleases
from services.common.garbage import KEEP, collect
from services.common.leases import Lease
from services.common.releases import ReleaseRegistry
from services.common.stored import StoredRecommendations
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import EventKind, event
from tests.chaos import leftovers
from tests.chaos.refreshed import Site, kill_group, site, wait_until
from tests.contract.feature_fixtures import postgres_address, postgres_url
from tests.e2e.conftest import tandem
from training.refresh import LEASE

__all__ = ["postgres_address", "postgres_url"]

KILLS = 20
MOST_ATTEMPTS = 2 * KILLS
SEED = 20
USERS = 3

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1_200)]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    with site(tmp_path, url) as place:
        yield place


def finish(place: Site) -> tuple[dict[str, Any], float, float]:
    """Lets a refresh end; what it prints, and the seconds after which it had registered its release
    and after which it ended."""
    known = place.registered()
    with place.refresh() as process:
        began = time.monotonic()
        wait_until(lambda: place.registered() > known or process.poll() is not None)
        registered = time.monotonic() - began
        out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out), registered, time.monotonic() - began


def kill_at(place: Site, moment: float, registered: float) -> bool:
    """Kills a refresh at a moment, in seconds from its start; False when it was faster.

    A moment after the registration is counted from there, however long training takes this time.
    """
    known = place.registered()
    with place.refresh() as process:
        time.sleep(min(moment, registered))
        if moment > registered:
            wait_until(lambda: place.registered() > known or process.poll() is not None)
            time.sleep(moment - registered)
        ended = process.poll() is not None
        kill_group(process)
    return not ended


def check_served(place: Site) -> None:
    """Every answer is full, and of a release that is whole, as are all that may be activated."""
    for n in range(USERS):
        answer = place.client.recommend(place.world.user_ids[n])
        assert answer.level == pb.LEVEL_FULL and len(answer.items) > 0
        Release(place.state.releases / answer.release_id).verify()
    stored = StoredRecommendations(place.engine)
    for release_id in place.registered():
        release = Release(place.state.releases / release_id)
        release.verify()
        assert stored.count(release_id) == len(release.users)


def collect_garbage(place: Site) -> dict[str, Any]:
    if place.engine.dialect.name == "postgresql":
        return asdict(collect(place.engine, place.state.releases))
    done = tandem("releases", "gc", "--state", str(place.state.path), "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check_nothing_is_left(place: Site) -> None:
    """Exactly the releases that are kept are anywhere, and what may serve is everywhere."""
    registry, releases = ReleaseRegistry(place.engine), place.state.releases
    ids = [release.release_id for release in registry.list()]
    serve = {registry.active(), registry.previous()}
    leftovers.make_old(place.state.path)
    kept = set(collect_garbage(place)["kept"])
    assert kept == {*ids[:KEEP], *serve}
    assert {path.name for path in releases.iterdir()} == kept
    assert leftovers.of_registry(place.engine) == leftovers.of_lists(place.engine) == kept
    assert list((place.state.path / "checkpoints").glob("*")) == []
    assert list(place.temporary.iterdir()) == []
    wait_until(lambda: leftovers.of_milvus(place.milvus_uri) <= kept, 2 * LOOK_SECONDS)
    wait_until(lambda: leftovers.of_online_store(place.state.features) <= kept, 2 * LOOK_SECONDS)
    assert leftovers.of_milvus(place.milvus_uri) >= serve
    assert leftovers.of_online_store(place.state.features) >= serve
    wait_until(lambda: not CollectedReleases(place.engine).with_rows(), 2 * LOOK_SECONDS)


def test_wherever_a_refresh_is_killed_the_system_serves_and_the_next_one_leaves_nothing(
    running: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(SEED)
    _, registered, seconds = finish(running)
    killed: list[float] = []
    began = time.monotonic()
    for n in range(MOST_ATTEMPTS):
        if len(killed) == KILLS:
            break
        if n % 2:  # a log that is another one leaves checkpoints that nobody goes on from
            item = running.world.item_ids[n]
            running.client.record([event(f"new-{n}", item, EventKind.EVENT_KIND_CLICK)])
        # As many while it publishes, which is short, as while it trains.
        first, last = (0.0, registered) if len(killed) % 2 else (registered, seconds)
        moment = rng.uniform(first, last)
        if kill_at(running, moment, registered):
            killed.append(moment)
        check_served(running)
    assert len(killed) == KILLS
    took = time.monotonic() - began

    done, _, _ = finish(running)
    assert done["activated"] and ReleaseRegistry(running.engine).active() == done["release_id"]
    assert running.client.recommend("new-1").release_id == done["release_id"]
    assert Lease(running.engine, LEASE, 60.0).holder() is None
    check_served(running)
    check_nothing_is_left(running)
    with capsys.disabled():
        print(f"\nseed {SEED}: killed {len(killed)} of {KILLS} in {n + 1} attempts, {took:.0f} s,")
        print(f"a refresh takes {seconds:.1f} s and registers after {registered:.1f}; moments ")
        print(" ".join(f"{moment:.1f}" for moment in killed))
