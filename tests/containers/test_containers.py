"""All of Tandem in containers, as the manifests of the kind overlay have it, on real stores."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tandem_client import Client, TandemError
from tests.containers.cluster import API, Cluster
from tests.containers.manifests import Manifests
from tests.containers.podman import podman
from tests.containers.pods import Pod
from tests.e2e.conftest import answers_fully, until
from tests.k8s.rendering import render
from tests.live.load import Load

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SERVICES = ("features-0", "retrieval-0", "ranking-0", "orchestrator-0")
STORES = ("redis-0", "postgres-0", "milvus-0")
USERS = ("user-0", "user-1", "user-2")


@pytest.fixture(scope="module")
def manifests() -> Manifests:
    return Manifests(render("overlays/kind"))


@pytest.fixture(scope="module")
def pods(manifests: Manifests) -> dict[str, Pod]:
    """By name. Two of what clients reach, as in production: one could not be missed."""
    return {pod.name: pod for pod in manifests.pods({API: 2})}


@pytest.fixture(scope="module")
def cluster(manifests: Manifests, pods: dict[str, Pod]) -> Iterator[Cluster]:
    with Cluster(manifests.config_maps()) as cluster:
        started = time.monotonic()
        for name in STORES:
            cluster.start(pods[name])
        cluster.wait(STORES, 120)
        for name in pods.keys() - set(STORES):
            cluster.start(pods[name])
        cluster.finish(pods["train"], 300)
        cluster.wait(pods.keys() - {"train"}, 180)
        print(f"everything is ready after {time.monotonic() - started:.0f} s")
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[Client]:
    """Knows every replica of the API, and goes on to the next when one is gone."""
    with Client("ipv4:" + ",".join(cluster.addresses)) as client:
        assert until(lambda: all_full(client), 60)
        yield client


def all_full(client: Client) -> bool:
    try:
        return all(answers_fully(client, user) for user in USERS)
    except TandemError:
        return False


@pytest.mark.usefixtures("client")
def test_what_users_rely_on_holds(cluster: Cluster) -> None:
    rules = cluster.file("tandem-rules", "rules.yaml")
    environment = {
        "TANDEM_ADDRESS": cluster.addresses[0],
        "TANDEM_USERS": ",".join(USERS),
        "TANDEM_SET_RULES": f"cat > '{rules}'",  # as a kubelet brings a changed ConfigMap
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--no-header", "tests/live"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    print(done.stdout[-4000:])
    assert done.returncode == 0


def test_containers_may_no_more_than_the_manifests_allow(
    cluster: Cluster, pods: dict[str, Pod]
) -> None:
    for name in (*SERVICES, *STORES):
        assert cluster.run(name, "id", "-u") == str(pods[name].user) != "0"
        status = dict(
            line.split(":\t", 1)
            for line in cluster.run(name, "cat", "/proc/1/status").splitlines()
            if ":\t" in line
        )
        assert int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        with pytest.raises(RuntimeError, match="Read-only file system"):
            cluster.run(name, "touch", "/written")


def test_each_service_serves_metrics(cluster: Cluster, pods: dict[str, Pod]) -> None:
    for name in SERVICES:
        url = f"http://{cluster.address(name)}:{pods[name].ports['metrics']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        assert "ray_serve" in text if name == "ranking-0" else "tandem_calls" in text


@pytest.mark.parametrize("name", [*SERVICES, *STORES])
def test_no_request_fails_while_a_killed_container_comes_back(
    cluster: Cluster, client: Client, name: str
) -> None:
    before = cluster.starts(name)
    with Load(client, USERS) as load:
        time.sleep(2)
        killed = time.monotonic()
        cluster.kill(name)
        assert until(lambda: cluster.starts(name) > before, 30)
        cluster.wait([name], 120)
        assert until(lambda: all_full(client), 120)
        back = time.monotonic() - killed
        time.sleep(2)
    print(
        f"{name}: FULL again after {back:.1f} s; answers {dict(load.levels)}, "
        f"slowest {load.slowest:.2f} s, {len(load.acknowledged)} events acknowledged"
    )
    assert load.failures == []
    assert load.levels["FULL"] > 0
    again = client.record(load.acknowledged)
    assert (again.accepted, again.duplicates) == (0, len(load.acknowledged))


def test_memory_and_sizes_are_within_the_limits(cluster: Cluster, pods: dict[str, Pod]) -> None:
    for name in (*SERVICES, *STORES):
        resident, shared = cluster.memory_mb(name)
        limit = pods[name].memory / 2**20
        print(f"{name:16} {resident:6.0f} MiB resident, {shared:6.0f} unshared, of {limit:.0f}")
        assert 0 < shared < limit
    for image in sorted({pod.image for pod in pods.values()}):
        print(f"{image:20} {podman('images', '--format', '{{.Size}}', image)}")
