"""What the containers of `make container-test` are made of: no container runs here."""

from tests.containers.manifests import Manifests
from tests.containers.pods import Mount, Volume
from tests.k8s.rendering import render


def test_every_deployment_and_job_becomes_containers() -> None:
    pods = {pod.name: pod for pod in Manifests(render("overlays/kind")).pods({"orchestrator": 2})}
    assert set(pods) == {
        *("orchestrator-0", "orchestrator-1", "features-0", "retrieval-0", "ranking-0"),
        *("redis-0", "postgres-0", "milvus-0", "train"),
    }
    features = pods["features-0"]
    assert features.names == ("features",)
    assert features.environment["FEATURES_DATABASE_URL"].startswith("postgresql+psycopg://")
    assert Mount(Volume.DISK, "releases", "/releases", read_only=True) in features.mounts
    assert (features.user, features.health_port) == (10001, 50052)
    (world,) = pods["train"].before
    assert world.ends and {each.name for each in world.mounts} >= {"train-data"}
    assert set(pods["ranking-0"].names) == {"ranking", "ranking-fallback"}
