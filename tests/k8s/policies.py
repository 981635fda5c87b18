"""What every pod must keep to: PodSecurity `restricted`, limits, probes, images with a version."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.k8s.pods import RAY, Pod, of_kind, pods
from tests.k8s.rendering import Manifest

_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_HOST = ("hostNetwork", "hostPID", "hostIPC")


def policy_faults(objects: Sequence[Manifest]) -> Iterator[str]:
    """Pods that do not keep to it."""
    for pod in pods(objects):
        for fault in (*_pod_faults(pod), *_token_faults(pod)):
            yield f"{pod}: {fault}"
        for container in pod.containers():
            for fault in _container_faults(container):
                yield f"{pod}, container {container['name']}: {fault}"
        if pod.runs_on:
            for container in pod.spec["containers"]:
                for fault in _probe_faults(container):
                    yield f"{pod}, container {container['name']}: {fault}"
    for name, each in of_kind(objects, "Deployment").items():
        for fault in _rollout_faults(each["spec"]):
            yield f"Deployment {name}: {fault}"


def _pod_faults(pod: Pod) -> Iterator[str]:
    security = pod.spec.get("securityContext", {})
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield "may run as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if any(pod.spec.get(each) for each in _HOST):
        yield "shares the host's network or processes"
    if any("hostPath" in volume for volume in pod.spec.get("volumes", ())):
        yield "mounts a folder of the host"
    if pod.kind != "Pod" and pod.spec.get("enableServiceLinks") is not False:
        yield "gets variables of service links, which pass for settings"


def _token_faults(pod: Pod) -> Iterator[str]:
    if (pod.kind, pod.part) == (RAY, "head"):
        return  # its autoscaler asks Kubernetes for pods
    if pod.spec.get("automountServiceAccountToken") is not False:
        yield "gets a token of its service account"


def _container_faults(container: Mapping[str, Any]) -> Iterator[str]:
    security = container.get("securityContext", {})
    for name, wanted in _CONTAINER.items():
        if security.get(name) != wanted:
            yield f"{name} is not {wanted}"
    if security.get("runAsUser") == 0 or security.get("privileged"):
        yield "runs as root"
    resources = container.get("resources", {})
    for which in ("requests", "limits"):
        for what in ("cpu", "memory"):
            if what not in resources.get(which, {}):
                yield f"has no {what} in its {which}"
    name, _, tag = container["image"].rpartition(":")
    if not name or "/" in tag or tag == "latest":
        yield f"image {container['image']} names no version"


def _probe_faults(container: Mapping[str, Any]) -> Iterator[str]:
    missing = [probe for probe in _PROBES if probe not in container]
    if missing:
        yield f"has no {' and no '.join(missing)}"
    elif _asks(container["readinessProbe"]) == _asks(container["livenessProbe"]) != {}:
        yield "is killed where it is only not ready"


def _asks(probe: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a probe asks by gRPC; nothing where it asks otherwise."""
    return dict(probe.get("grpc", {}))


def _rollout_faults(spec: Mapping[str, Any]) -> Iterator[str]:
    strategy = spec["strategy"]
    if strategy.get("type") != "Recreate":
        rolling = strategy.get("rollingUpdate", {})
        if (rolling.get("maxUnavailable"), rolling.get("maxSurge")) != (0, 1):
            yield "takes a pod away before another is ready"
        for container in spec["template"]["spec"]["containers"]:
            if "preStop" not in container.get("lifecycle", {}):
                yield f"container {container['name']} stops while it is still called"
