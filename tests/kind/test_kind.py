"""Tandem on a cluster: what users rely on, and that nobody notices what operators do.

The tests share one cluster and change it; each leaves it serving.
"""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import Client, TandemError
from tests.e2e.conftest import until
from tests.kind.cluster import CommandError
from tests.kind.conftest import ROOT, USERS, Deployed
from tests.live.load import Load

pytestmark = [pytest.mark.kind, pytest.mark.timeout(3_600)]  # the first makes the cluster

SERVICES = ("features", "retrieval", "ranking", "orchestrator")

REPLICAS = """\
from services.ranking.processes import ray_processes
from services.ranking.settings import RankingSettings
marks = {"RANKING_RUNTIME_DIR": str(RankingSettings().runtime_dir)}
print(sum(name == "ranking" for name, _ in ray_processes(marks)))
"""


def test_users_get_what_they_rely_on(deployed: Deployed) -> None:
    kubectl = f"kubectl --kubeconfig {shlex.quote(deployed.cluster.kubeconfig)} -n tandem"
    rules = f"{kubectl} create configmap tandem-rules --from-file=rules.yaml=/dev/stdin"
    environment = {
        **os.environ,
        "TANDEM_ADDRESS": deployed.address,
        "TANDEM_SET_RULES": f"{rules} --dry-run=client -o yaml | {kubectl} apply -f -",
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/live"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    print(done.stdout[-2_000:])
    assert done.returncode == 0, done.stdout[-8_000:]


@pytest.mark.parametrize("service", SERVICES)
def test_the_loss_of_a_pod_fails_no_recommendation(deployed: Deployed, service: str) -> None:
    def delete() -> None:
        pods = deployed.cluster.get("pods", "-l", f"app.kubernetes.io/name={service}")["items"]
        deployed.cluster.kubectl("delete", "pod", pods[0]["metadata"]["name"], timeout=180)
        deployed.roll_out()

    while_asking(deployed, delete)
    assert deployed.serves()


def test_a_new_image_fails_no_recommendation(deployed: Deployed) -> None:
    cluster, image = deployed.cluster, f"{deployed.image}-next"
    cluster.tag(deployed.image, image)
    cluster.load(image)

    def roll() -> None:
        for service in SERVICES:
            cluster.kubectl("set", "image", f"deployment/{service}", f"{service}={image}")
            deployed.roll_out()

    while_asking(deployed, roll)
    for service in SERVICES:
        pods = cluster.get("pods", "-l", f"app.kubernetes.io/name={service}")["items"]
        staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        images = {each["image"] for pod in staying for each in pod["spec"]["containers"]}
        assert images == {image}
    assert deployed.serves()


def test_a_new_release_fails_no_recommendation(deployed: Deployed) -> None:
    cluster = deployed.cluster
    with Client(deployed.address) as client:
        before, job = client.recommend(USERS[0]).release_id, f"refresh-{uuid4().hex[:8]}"

        def refresh() -> None:
            cluster.kubectl("create", "job", "--from=cronjob/refresh", job)
            cluster.kubectl(
                *("wait", "--for=condition=complete", f"job/{job}", "--timeout=900s"),
                timeout=930,
            )
            assert until(lambda: client.recommend(USERS[0]).release_id != before, 60)

        load = while_asking(deployed, refresh)
        # Training takes what it can get of the cores; a service that is late is done without.
        assert load.levels["FULL"] > 0.9 * load.levels.total()
        assert len(load.releases) == 2
        started = time.monotonic()
        assert client.rollback_release().release.state == pb.RELEASE_STATE_ACTIVE
        print(f"rolled back in {time.monotonic() - started:.2f} s")
        assert until(lambda: client.recommend(USERS[0]).release_id == before, 10)


def test_ranking_scales_with_load_and_back(deployed: Deployed) -> None:
    assert until(lambda: replicas(deployed) == 1, 180)
    started = time.monotonic()
    with heavy_load(deployed) as load:
        assert until(lambda: replicas(deployed) >= 2, 180)
        print(f"a second replica after {time.monotonic() - started:.0f} s")
        time.sleep(10)
    assert load.failures == []
    assert load.levels["FULL"]
    assert until(lambda: replicas(deployed) == 1, 300)
    assert deployed.serves()


def test_orchestrators_scale_with_load(deployed: Deployed) -> None:
    try:
        condition = deployed.cluster.kubectl(
            *("get", "apiservice", "v1beta1.metrics.k8s.io"),
            *("--output", 'jsonpath={.status.conditions[?(@.type=="Available")].status}'),
        )
    except CommandError:
        condition = "False"
    if condition != "True":
        pytest.skip("the cluster serves no metrics of pods (v1beta1.metrics.k8s.io)")

    def replicas_of_orchestrator() -> int:
        return int(deployed.cluster.get("deployment", "orchestrator")["status"]["readyReplicas"])

    before = replicas_of_orchestrator()
    with heavy_load(deployed):
        assert until(lambda: replicas_of_orchestrator() > before, 300)


def while_asking(deployed: Deployed, work: Callable[[], None]) -> Load:
    """Does something while clients ask and record: no request fails, no acknowledged event is
    lost."""
    with Client(deployed.address) as client:
        with Load(client, USERS, askers=4, pause=0.4) as load:  # for a node of two cores
            time.sleep(5)
            work()
            time.sleep(5)
        print(f"answers {dict(load.levels)}, slowest {load.slowest:.2f} s")
        assert load.failures == []
        assert load.levels["FULL"]
        assert until(lambda: all_recorded(client, load), 60)
    return load


def all_recorded(client: Client, load: Load) -> bool:
    """Whether every acknowledged event is in the log."""
    duplicates = 0
    for start in range(0, len(load.acknowledged), 1_000):
        try:
            again = client.record(load.acknowledged[start : start + 1_000])
        except TandemError:  # features may be on their way back
            return False
        assert again.accepted == 0
        duplicates += again.duplicates
    return duplicates == len(load.acknowledged)


@contextmanager
def heavy_load(deployed: Deployed) -> Iterator[Load]:
    """More than one replica of anything can do."""
    with Client(deployed.address) as client, Load(client, USERS, askers=32, pause=0) as load:
        yield load


def replicas(deployed: Deployed) -> int:
    """Replicas of ranking in its pod."""
    return int(
        deployed.cluster.kubectl("exec", "deployment/ranking", "--", "python", "-c", REPLICAS)
    )
