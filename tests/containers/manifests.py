"""The containers that Kubernetes would run, out of manifests that kustomize has rendered."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.containers.pods import Mount, Pod, Volume
from tests.k8s.quantities import quantity

Document = Mapping[str, Any]

_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z_0-9]*)\)")


class Manifests:
    """Rendered objects, which refer to one another by name.

    Supports what Tandem's manifests use, and refuses most of the rest.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents

    def pods(self, least: Mapping[str, int]) -> list[Pod]:
        """One for every replica of each Deployment, and one for each Job.

        Args:
            least: replicas of Deployments, where the manifests ask for fewer.
        """
        found = []
        for document in self._documents:
            kind, name = document["kind"], document["metadata"]["name"]
            if kind == "Deployment":
                template = document["spec"]["template"]
                count = max(self._replicas(document), least.get(name, 0))
                found += [self._pod(f"{name}-{number}", template) for number in range(count)]
            elif kind == "Job":
                found.append(self._pod(name, document["spec"]["template"], ends=True))
        return found

    def config_maps(self) -> dict[str, dict[str, str]]:
        """Content by key, of every ConfigMap, by name."""
        return self._named("ConfigMap")

    def _replicas(self, document: Document) -> int:
        for scaler in self._of_kind("HorizontalPodAutoscaler"):
            target = scaler["spec"]["scaleTargetRef"]
            if (target["kind"], target["name"]) == (document["kind"], document["metadata"]["name"]):
                return int(scaler["spec"]["minReplicas"])
        return int(document["spec"].get("replicas", 1))

    def _pod(self, name: str, template: Document, *, ends: bool = False) -> Pod:
        spec = template["spec"]
        (container,) = spec["containers"]
        names = self._names(template["metadata"]["labels"])
        before = tuple(
            self._container(f"{name}-{each['name']}", (), spec, name, each, ends=True)
            for each in spec.get("initContainers", [])
        )
        pod = self._container(name, names, spec, name, container, ends=ends)
        return replace(pod, before=before)

    def _container(
        self,
        name: str,
        names: tuple[str, ...],
        spec: Document,
        pod: str,
        container: Document,
        *,
        ends: bool,
    ) -> Pod:
        limits = container["resources"]["limits"]
        environment = self._environment(container)
        command = [*container.get("command", []), *container.get("args", [])]
        return Pod(
            name=name,
            names=names,
            image=container["image"],
            command=tuple(_expanded(part, environment) for part in command),
            environment=environment,
            mounts=_mounts(pod, spec, container),
            ports={port["name"]: port["containerPort"] for port in container.get("ports", [])},
            health_port=container.get("readinessProbe", {}).get("grpc", {}).get("port"),
            user=spec["securityContext"]["runAsUser"],
            cpus=quantity(limits["cpu"]),
            memory=round(quantity(limits["memory"])),
            ends=ends,
        )

    def _names(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Of the Services that select pods with these labels."""
        return tuple(
            service["metadata"]["name"]
            for service in self._of_kind("Service")
            if service["spec"]["selector"].items() <= labels.items()
        )

    def _environment(self, container: Document) -> dict[str, str]:
        values: dict[str, str] = {}
        for each in container.get("env", []):
            value = each["value"] if "value" in each else self._referenced(each["valueFrom"])
            if value is not None:
                values[each["name"]] = _expanded(value, values)
        return values

    def _referenced(self, source: Document) -> str | None:
        """The value that a variable takes from elsewhere; None for one that need not be there."""
        ((kind, reference),) = source.items()
        owner = self._named({"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}[kind])
        held = owner.get(reference["name"], {})
        if reference["key"] in held:
            return held[reference["key"]]
        if reference.get("optional"):
            return None
        raise ValueError(f"no key {reference['key']} in {reference['name']}")

    def _named(self, kind: str) -> dict[str, dict[str, str]]:
        """Content by key, of all objects of a kind, by name."""
        return {
            each["metadata"]["name"]: {
                **each.get("stringData", {}),
                **{
                    key: base64.b64decode(value).decode() if kind == "Secret" else value
                    for key, value in each.get("data", {}).items()
                },
            }
            for each in self._of_kind(kind)
        }

    def _of_kind(self, kind: str) -> list[Document]:
        return [document for document in self._documents if document["kind"] == kind]


def _mounts(pod: str, spec: Document, container: Document) -> tuple[Mount, ...]:
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    return tuple(
        replace(
            _volume(pod, volumes[mount["name"]]),
            path=mount["mountPath"],
            read_only=mount.get("readOnly", False),
        )
        for mount in container.get("volumeMounts", [])
    )


def _volume(pod: str, volume: Document) -> Mount:
    match volume:
        case {"emptyDir": {"medium": "Memory", "sizeLimit": size}}:
            return Mount(Volume.MEMORY, volume["name"], "", size=round(quantity(size)))
        case {"emptyDir": _}:
            return Mount(Volume.DISK, f"{pod}-{volume['name']}", "")
        case {"persistentVolumeClaim": {"claimName": name}}:
            return Mount(Volume.DISK, name, "")
        case {"configMap": {"name": name}}:
            return Mount(Volume.FILES, name, "")
    raise ValueError(f"{pod}: a volume {volume} is not supported")


def _expanded(text: str, values: Mapping[str, str]) -> str:
    """With `$(NAME)` replaced where there is such a variable, as the kubelet does."""
    return _REFERENCE.sub(lambda found: values.get(found[1], found[0]), text)
