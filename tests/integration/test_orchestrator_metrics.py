"""The metrics of a real orchestrator, scraped over HTTP."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.common.ports import free_ports
from services.common.releases import ReleaseRegistry
from tandem_client import Client
from tests.unit.training.served_world import World, alter, busy, hours, world
from training.skew.job import check

__all__ = ["world"]

Samples = dict[str, float]


@contextmanager
def orchestrator(world: World) -> Iterator[tuple[str, int]]:
    """A process that serves the world's release, with no other service; its address, and the port
    of its metrics."""
    (port, metrics, *nobody) = free_ports(5)
    registry, release_id = ReleaseRegistry(world.engine), world.release.release_id
    registry.add(release_id, {})
    registry.activate(release_id)
    settings = {
        "PORT": str(port),
        "METRICS_PORT": str(metrics),
        "RELEASE_ROOT": str(world.releases),
        "DATABASE_URL": world.database_url,
        "RULES_FILE": str(world.state / "rules.yaml"),
        **{
            f"{name}_ADDRESSES": f'["127.0.0.1:{other}"]'
            for name, other in zip(("FEATURES", "RETRIEVAL", "RANKING"), nobody, strict=True)
        },
    }
    environment = {f"ORCHESTRATOR_{name}": value for name, value in settings.items()}
    with (
        Path(world.state / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "services.orchestrator"],
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            yield f"127.0.0.1:{port}", metrics
        finally:
            process.terminate()
            assert process.wait(30) == 0, (world.state / "log").read_text()


def scrape(port: int) -> Samples:
    """Each sample, by name and labels as they are written; empty while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except urllib.error.URLError:
        return {}
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def until_shown(port: int, name: str) -> Samples:
    ends = time.monotonic() + 60
    while name not in (samples := scrape(port)):
        assert time.monotonic() < ends, sorted(samples)
        time.sleep(0.1)
    return samples


def test_a_planted_skew_is_named_in_the_metrics_of_the_orchestrator(world: World) -> None:
    busy(world, 4)
    began, release_id = time.time(), world.release.release_id
    check(world.database_url, world.releases, 1_000)
    with orchestrator(world) as (address, port):
        samples = until_shown(port, f'tandem_release_info{{release="{release_id}"}}')
        differing = {name: n for name, n in samples.items() if "skew_differing" in name}
        assert len(differing) == 11 and not any(differing.values())
        assert samples["tandem_skew_checked_requests"] == 4
        assert began <= samples["tandem_skew_checked_timestamp_seconds"] <= time.time()
        assert samples[f'tandem_skew_score_max_difference{{release="{release_id}"}}'] <= 1e-5
        psi = f'tandem_drift_psi{{feature="scores",release="{release_id}"}}'
        assert samples[psi] >= 0
        cut_off = world.release.manifest.cut_off
        assert samples["tandem_release_cut_off_timestamp_seconds"] == pytest.approx(cut_off)

        alter(world, hours)
        check(world.database_url, world.releases, 1_000)
        samples = scrape(port)
        assert samples['tandem_skew_differing_requests{feature="history_ages"}'] > 0
        assert samples['tandem_skew_max_difference{feature="history_ages"}'] > 0
        assert sum("skew_differing" in name and n > 0 for name, n in samples.items()) == 1

        with Client(address) as client:
            client.recommend("u0")
        assert scrape(port)['tandem_answers_total{level="POPULAR",method="Recommend"}'] == 1
