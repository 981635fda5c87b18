"""A cluster with Tandem on it.

`KIND_CLUSTER` names it (one that runs already is used, and left), `KIND_CONFIG` is a file of kind's
for a new one, `KIND_NODE_IMAGE` its node's image, `KIND_REQUIRED=1` turns a skip into a failure.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tandem_client import Client
from tests.e2e.conftest import answers_fully, until
from tests.k8s.pods import pods
from tests.k8s.rendering import render
from tests.kind.cluster import CommandError, KindCluster, Tools, Unusable, run

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "deploy" / "k8s" / "overlays" / "kind"
NODE_PORT = 30051
USERS = tuple(f"user-{number}" for number in range(20))
_ROLLOUT_SECONDS = 600
_FIRST_RELEASE_SECONDS = 900.0


@dataclass(frozen=True)
class Deployed:
    """Tandem on a cluster.

    Attributes:
        cluster: where it is.
        address: of the public API, from outside.
        image: that its services run.
    """

    cluster: KindCluster
    address: str
    image: str

    def roll_out(self) -> None:
        """Waits until every deployment and stateful set is as it should be."""
        for kind in ("deployment", "statefulset"):
            for each in self.cluster.get(kind)["items"]:
                name = f"{kind}/{each['metadata']['name']}"
                self.cluster.kubectl(
                    *("rollout", "status", name, f"--timeout={_ROLLOUT_SECONDS}s"),
                    timeout=_ROLLOUT_SECONDS + 30,
                )

    def serves(self, seconds: float = 120) -> bool:
        """Whether it comes to answer in full."""
        with Client(self.address) as client:
            return until(lambda: answers_fully(client, USERS[0]), seconds)


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    try:
        tools = Tools.find()
        cluster = KindCluster(os.environ.get("KIND_CLUSTER", "tandem"), tools)
        owned = not cluster.exists()
        try:
            if owned:
                config = os.environ.get("KIND_CONFIG") or str(OVERLAY / "cluster.yaml")
                cluster.create(Path(config))
            else:
                cluster.attach()
            yield _deploy(cluster)
        finally:
            if owned:
                cluster.delete()
            cluster.close()
    except Unusable as reason:
        if os.environ.get("KIND_REQUIRED"):
            raise
        pytest.skip(f"no kind cluster: {reason}")


def _deploy(cluster: KindCluster) -> Deployed:
    run("make", "-C", str(ROOT), "image", timeout=1_800)
    rendered = render("overlays/kind")
    images = {each["image"] for pod in pods(rendered) for each in pod.containers()}
    for image in sorted(images):
        cluster.load(image)
    cluster.kubectl("apply", "--kustomize", str(OVERLAY), timeout=120)
    _wait_for_release(cluster)
    (image,) = (each for each in images if each.split(":")[0].endswith("tandem"))
    deployed = Deployed(cluster, _address(cluster), image)
    deployed.roll_out()
    assert deployed.serves(), cluster.kubectl("get", "pods", "--output", "wide")
    return deployed


def _wait_for_release(cluster: KindCluster) -> None:
    """Until the job that trains the first one is done."""

    def done() -> bool:
        jobs = cluster.get("jobs")["items"]
        for job in jobs:
            assert job["status"].get("failed", 0) <= job["spec"].get("backoffLimit", 6), (
                cluster.kubectl("logs", f"job/{job['metadata']['name']}", "--tail=50")
            )
        return bool(jobs) and all(job["status"].get("succeeded") for job in jobs)

    assert until(done, _FIRST_RELEASE_SECONDS), cluster.kubectl("get", "pods,jobs")


def _address(cluster: KindCluster) -> str:
    """Of the node port: on the node, or where kind's configuration publishes it here."""
    addresses = cluster.get("nodes")["items"][0]["status"]["addresses"]
    node = next(each["address"] for each in addresses if each["type"] == "InternalIP")
    for host in (node, "127.0.0.1"):
        try:
            with socket.create_connection((host, NODE_PORT), timeout=5):
                return f"{host}:{NODE_PORT}"
        except OSError:
            continue
    raise CommandError(f"port {NODE_PORT} answers neither on the node, {node}, nor on 127.0.0.1")
