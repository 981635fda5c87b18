"""Each fault that is planted into good manifests is found, and named."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import pytest

from tests.k8s.alerts import alert_faults
from tests.k8s.checks import Check
from tests.k8s.configuration import configuration_faults
from tests.k8s.pods import RAY, of_kind
from tests.k8s.policies import policy_faults
from tests.k8s.quantities import quantity_faults
from tests.k8s.references import reference_faults
from tests.k8s.rendering import Manifest, read, render
from tests.k8s.schemas import schema_faults
from tests.k8s.serving import serving_faults
from tests.k8s.test_manifests import EXPECTED

Objects: TypeAlias = list[Manifest]
Plant: TypeAlias = Callable[[Objects], object]


def spec(objects: Objects, kind: str, name: str) -> Any:
    return of_kind(objects, kind)[name]["spec"]


def pod(objects: Objects, name: str = "features") -> Any:
    return spec(objects, "Deployment", name)["template"]["spec"]


def container(objects: Objects, name: str = "features") -> Any:
    return pod(objects, name)["containers"][0]


def job(objects: Objects) -> Any:
    return spec(objects, "Job", "train")["template"]["spec"]["containers"][0]


def variable(objects: Objects, name: str, of: str = "features") -> Any:
    return next(each for each in container(objects, of)["env"] if each["name"] == name)


def serve_config(objects: Objects, old: str, new: str) -> None:
    service = spec(objects, RAY, "ranking")
    assert old in service["serveConfigV2"]
    service["serveConfigV2"] = service["serveConfigV2"].replace(old, new)


def head(objects: Objects) -> Any:
    group = spec(objects, RAY, "ranking")["rayClusterConfig"]["headGroupSpec"]
    return group["template"]["spec"]["containers"][0]


def alerts(objects: Objects) -> Any:
    return spec(objects, "PrometheusRule", "tandem")["groups"]


def references(objects: Sequence[Manifest]) -> Iterable[str]:
    return reference_faults(objects, read(EXPECTED))


PLANTS: dict[Check, dict[str, tuple[Plant, str]]] = {
    configuration_faults: {
        "a variable's name is wrong": (
            lambda o: variable(o, "FEATURES_STORE_ROOT").update(name="FEATURES_STORE_ROUTE"),
            "unknown setting FEATURES_STORE_ROUTE",
        ),
        "another service's variable": (
            lambda o: container(o)["env"].append({"name": "RETRIEVAL_HOST", "value": "0.0.0.0"}),
            "RETRIEVAL_HOST is no setting of services.features",
        ),
        "a setting without a default is missing": (
            lambda o: container(o)["env"].remove(variable(o, "FEATURES_STORE_ROOT")),
            "store_root: Field required",
        ),
        "a value that is refused": (
            lambda o: variable(o, "FEATURES_ONLINE_STORE").update(value="radish"),
            "online_store: Input should be 'sqlite' or 'redis'",
        ),
        "a port that nobody listens on": (
            lambda o: container(o)["ports"][0].update(containerPort=50062),
            "but listens on {'grpc': 50052",
        ),
        "a service listens on loopback": (
            lambda o: variable(o, "FEATURES_HOST").update(value="127.0.0.1"),
            "where nobody reaches it",
        ),
        "an address with another port": (
            lambda o: variable(o, "ORCHESTRATOR_RETRIEVAL_ADDRESSES", "orchestrator").update(
                value='["retrieval:50063"]'
            ),
            "no service listens at retrieval:50063",
        ),
        "too little grace": (
            lambda o: pod(o).update(terminationGracePeriodSeconds=10),
            "is killed before it has drained",
        ),
        "an option that a job's command lacks": (
            lambda o: job(o).update(command=["python", "-m", "training.job", "--frist"]),
            "No such option '--frist'",
        ),
        "a job's variable is wrong": (
            lambda o: job(o)["env"][0].update(name="TANDEM_DATABASE"),
            "TANDEM_DATABASE is read by nobody",
        ),
        "a job lacks an option": (
            lambda o: job(o).update(command=["python", "-m", "training.job"]),
            "Missing option '--data'",
        ),
        "a module that is not there": (
            lambda o: job(o).update(command=["python", "-m", "training.jobs"]),
            "cannot be started",
        ),
    },
    policy_faults: {
        "a probe is missing": (
            lambda o: container(o).pop("livenessProbe"),
            "has no livenessProbe",
        ),
        "liveness asks for readiness": (
            lambda o: container(o)["livenessProbe"]["grpc"].pop("service"),
            "is killed where it is only not ready",
        ),
        "root": (
            lambda o: pod(o)["securityContext"].update(runAsUser=0),
            "may run as root",
        ),
        "a root file system that may be written": (
            lambda o: container(o)["securityContext"].pop("readOnlyRootFilesystem"),
            "readOnlyRootFilesystem is not True",
        ),
        "no limit": (
            lambda o: container(o)["resources"]["limits"].pop("memory"),
            "has no memory in its limits",
        ),
        "the latest image": (
            lambda o: container(o).update(image="tandem:latest"),
            "tandem:latest names no version",
        ),
        "a token": (
            lambda o: pod(o).pop("automountServiceAccountToken"),
            "gets a token of its service account",
        ),
        "variables such as ORCHESTRATOR_PORT": (
            lambda o: pod(o).update(enableServiceLinks=True),
            "gets variables of service links",
        ),
        "a rollout that loses a pod": (
            lambda o: spec(o, "Deployment", "features")["strategy"]["rollingUpdate"].update(
                maxUnavailable=1
            ),
            "takes a pod away before another is ready",
        ),
    },
    quantity_faults: {
        "a limit that is no quantity": (
            lambda o: container(o)["resources"]["limits"].update(memory="2GB"),
            "'2GB' is no quantity",
        ),
        "a request above the limit": (
            lambda o: container(o)["resources"]["requests"].update(memory="4Gi"),
            "requests 4Gi of memory, above its limit",
        ),
    },
    references: {
        "a selector without a pod": (
            lambda o: spec(o, "Service", "features")["selector"].update(
                {"app.kubernetes.io/name": "feature"}
            ),
            "Service features: selects no pod",
        ),
        "a target port that is not declared": (
            lambda o: spec(o, "Service", "features")["ports"][0].update(targetPort="metric"),
            "declares no port metric",
        ),
        "a probe of another port": (
            lambda o: container(o)["readinessProbe"]["grpc"].update(port=50062),
            "readinessProbe asks port 50062",
        ),
        "an autoscaler without a target": (
            lambda o: spec(o, "HorizontalPodAutoscaler", "features")["scaleTargetRef"].update(
                name="feature"
            ),
            "there is no Deployment feature",
        ),
        "nothing to scale by": (
            lambda o: container(o)["resources"]["requests"].pop("cpu"),
            "requests no cpu to scale by",
        ),
        "a port's name is too long": (
            lambda o: container(o)["ports"].append(
                {"name": "a-long-name-of-a-port", "containerPort": 1}
            ),
            "a-long-name-of-a-port is no name of a port",
        ),
        "a key that the secret lacks": (
            lambda o: variable(o, "FEATURES_REDIS")["valueFrom"]["secretKeyRef"].update(
                key="password"
            ),
            "Secret tandem-redis has no password",
        ),
        "a claim is missing": (
            lambda o: o.remove(of_kind(o, "PersistentVolumeClaim")["releases"]),
            "there is no claim releases",
        ),
        "an account is missing": (
            lambda o: o.remove(of_kind(o, "ServiceAccount")["features"]),
            "there is no service account features",
        ),
        "a budget for nothing": (
            lambda o: spec(o, "PodDisruptionBudget", "features")["selector"].update(
                matchLabels={"app.kubernetes.io/name": "feature"}
            ),
            "PodDisruptionBudget features: selects no pod",
        ),
        "an open port that is none": (
            lambda o: spec(o, "NetworkPolicy", "retrieval")["ingress"][0]["ports"][0].update(
                port="http"
            ),
            "NetworkPolicy retrieval: no pod that it selects declares port http",
        ),
        "no certificate": (
            lambda o: spec(o, "Ingress", "orchestrator")["tls"][0].update(secretName="certificate"),
            "there is no secret certificate",
        ),
    },
    schema_faults: {
        "a field that Kubernetes does not know": (
            lambda o: spec(o, "Deployment", "features").update(replica=2),
            "'replica' was unexpected",
        ),
        "a field that KubeRay does not know": (
            lambda o: spec(o, RAY, "ranking")["rayClusterConfig"].update(workerGroups=[]),
            "'workerGroups' was unexpected",
        ),
        "a field in a pod of Ray that Kubernetes does not know": (
            lambda o: head(o).update(prots=[]),
            "spec.containers.0: Additional properties",
        ),
    },
    serving_faults: {
        "an application without an import path": (
            lambda o: serve_config(o, "import_path: services.ranking.app:build", "route: /"),
            "serveConfigV2: 1 validation error",
        ),
        "a module that is not there": (
            lambda o: serve_config(o, "services.ranking.app:build", "services.rank.app:build"),
            "import_path: No module named 'services.rank'",
        ),
        "an argument that is no setting": (
            lambda o: serve_config(o, 'max_replicas: "8"', 'max_replica: "8"'),
            "args: 1 validation error",
        ),
        "a deployment that is not there": (
            lambda o: serve_config(
                o, "deployments:\n      - name: ranking", "deployments:\n      - name: rank"
            ),
            "there is no deployment rank, but ranking",
        ),
        "a servicer that is not there": (
            lambda o: serve_config(
                o, "add_HealthServicer_to_server", "add_WealthServicer_to_server"
            ),
            "does not list app.GRPC_SERVICERS",
        ),
        "pods declare another port": (
            lambda o: serve_config(o, "port: 50054", "port: 50064"),
            "declares 50054 as grpc, but it is 50064",
        ),
        "a variable that Ray Serve does not read": (
            lambda o: head(o)["env"].append({"name": "RAY_SERVE_ENABLE_HAPROXY", "value": "1"}),
            "Ray Serve knows no RAY_SERVE_ENABLE_HAPROXY",
        ),
    },
    alert_faults: {
        "an alert on nothing": (
            lambda o: alerts(o)[-1]["rules"][0].update(expr="ray_serve_replicas{} == 0"),
            "no cluster serves ray_serve_replicas",
        ),
        "an alert that differs from that of one machine": (
            lambda o: alerts(o)[0]["rules"][0].update(expr="rate(tandem_call[5m]) > 0"),
            "does not begin with alerts.yaml",
        ),
    },
}
"""By the check that finds them: what is planted, and what is said of it."""


@pytest.mark.parametrize(
    ("check", "fault"),
    [(check, fault) for check, faults in PLANTS.items() for fault in faults],
    ids=[fault for faults in PLANTS.values() for fault in faults],
)
def test_a_planted_fault_is_found(check: Check, fault: str) -> None:
    objects = render("overlays/production")
    plant, said = PLANTS[check][fault]
    plant(objects)
    assert any(said in found for found in check(objects)), list(check(objects))
