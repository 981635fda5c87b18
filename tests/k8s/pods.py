"""The pods that objects make, and what they hold, in one shape whatever makes them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.k8s.rendering import Manifest

RAY = "RayService"


@dataclass(frozen=True)
class Pod:
    """One pod template.

    Attributes:
        kind, name: of the object that makes pods of it.
        part: "" or, of a RayService, `head` or the group's name.
        labels: what selectors see.
        spec: the pod's.
    """

    kind: str
    name: str
    part: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" ({self.part})" if self.part else "")

    @property
    def runs_on(self) -> bool:
        """Whether it is to run until it is replaced."""
        return self.kind in ("Deployment", RAY)

    def containers(self) -> list[Mapping[str, Any]]:
        """All of them, those that run first included."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]


def pods(objects: Sequence[Manifest]) -> Iterator[Pod]:
    """Every pod template of the objects."""
    for each in objects:
        kind, name, spec = each["kind"], each["metadata"]["name"], each.get("spec", {})
        if kind in ("Deployment", "Job"):
            yield _pod(kind, name, "", spec["template"])
        elif kind == "CronJob":
            yield _pod(kind, name, "", spec["jobTemplate"]["spec"]["template"])
        elif kind == "Pod":
            yield _pod(kind, name, "", each)
        elif kind == RAY:
            cluster = spec["rayClusterConfig"]
            yield _pod(kind, name, "head", cluster["headGroupSpec"]["template"], "head")
            for group in cluster["workerGroupSpecs"]:
                yield _pod(kind, name, group["groupName"], group["template"], "worker")


def _pod(kind: str, name: str, part: str, template: Manifest, ray: str = "") -> Pod:
    labels = dict(template.get("metadata", {}).get("labels", {}))
    if ray:  # the operator adds it
        labels["ray.io/node-type"] = ray
    return Pod(kind, name, part, labels, template["spec"])


def of_kind(objects: Sequence[Manifest], kind: str) -> dict[str, Manifest]:
    """Objects of a kind by name."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def ports(container: Mapping[str, Any]) -> dict[str, int]:
    """Declared ports of a container by name."""
    return {port["name"]: port["containerPort"] for port in container.get("ports", ())}
