"""What one object says of another must hold: selectors, ports, names, keys, claims."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.k8s.pods import Pod, of_kind, pods, ports
from tests.k8s.rendering import Manifest

Keys = Mapping[tuple[str, str], set[str]]
"""Keys of config maps and secrets, by kind and name."""

_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")


def reference_faults(objects: Sequence[Manifest], elsewhere: Sequence[Manifest]) -> Iterator[str]:
    """References to what is not there.

    Args:
        objects: what is deployed.
        elsewhere: secrets that are expected to be there already.
    """
    keys, known = _keys([*objects, *elsewhere]), list(pods(objects))
    for pod in known:
        for fault in (*_pod_faults(pod, objects, keys), *_port_faults(pod)):
            yield f"{pod}: {fault}"
    for each in objects:
        for fault in _object_faults(each, known, objects, keys):
            yield f"{each['kind']} {each['metadata']['name']}: {fault}"


def selects(labels: Mapping[str, str], pod: Pod) -> bool:
    return labels.items() <= pod.labels.items()


def _keys(objects: Sequence[Manifest]) -> dict[tuple[str, str], set[str]]:
    return {
        (each["kind"], each["metadata"]["name"]): {
            *each.get("data", {}),
            *each.get("stringData", {}),
        }
        for each in objects
        if each["kind"] in ("ConfigMap", "Secret")
    }


def _pod_faults(pod: Pod, objects: Sequence[Manifest], keys: Keys) -> Iterator[str]:
    account = pod.spec.get("serviceAccountName")
    if account and account not in of_kind(objects, "ServiceAccount"):
        yield f"there is no service account {account}"
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", ())}
    for container in pod.containers():
        for mount in container.get("volumeMounts", ()):
            if mount["name"] not in volumes:
                yield f"there is no volume {mount['name']}"
        for variable in container.get("env", ()):
            yield from _variable_faults(variable, keys)
    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim and claim not in of_kind(objects, "PersistentVolumeClaim"):
            yield f"there is no claim {claim}"
        if "configMap" in volume and ("ConfigMap", volume["configMap"]["name"]) not in keys:
            yield f"there is no config map {volume['configMap']['name']}"


def _variable_faults(variable: Mapping[str, Any], keys: Keys) -> Iterator[str]:
    source = variable.get("valueFrom", {})
    for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        wanted = source.get(field)
        if wanted is None or wanted.get("optional"):
            continue
        if wanted["key"] not in keys.get((kind, wanted["name"]), ()):
            yield f"{variable['name']}: {kind} {wanted['name']} has no {wanted['key']}"


def _port_faults(pod: Pod) -> Iterator[str]:
    for container in pod.containers():
        declared = ports(container)
        for name in declared:
            if not _PORT_NAME.fullmatch(name):
                yield f"{name} is no name of a port"
        for which in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container.get(which, {})
            for action in ("grpc", "tcpSocket", "httpGet"):
                port = probe.get(action, {}).get("port")
                if port is not None and port not in {*declared, *declared.values()}:
                    yield f"{which} asks port {port}, which is not declared"


def _object_faults(
    each: Manifest, known: Sequence[Pod], objects: Sequence[Manifest], keys: Keys
) -> Iterator[str]:
    match each["kind"]:
        case "Service":
            yield from _service_faults(each["spec"], known)
        case "HorizontalPodAutoscaler":
            yield from _scaler_faults(each["spec"], known)
        case "PodDisruptionBudget":
            yield from _selector_faults(each["spec"]["selector"], known)
        case "NetworkPolicy":
            yield from _policy_faults(each["spec"], known)
        case "Ingress":
            yield from _ingress_faults(each["spec"], objects, keys)
        case "PodMonitor":
            yield from _selector_faults(each["spec"]["selector"], known)
            for endpoint in each["spec"]["podMetricsEndpoints"]:
                if not any(endpoint["port"] in ports(c) for pod in known for c in pod.containers()):
                    yield f"no pod declares port {endpoint['port']}"


def _service_faults(spec: Mapping[str, Any], known: Sequence[Pod]) -> Iterator[str]:
    chosen = [pod for pod in known if selects(spec["selector"], pod)]
    if not chosen:
        yield f"selects no pod by {spec['selector']}"
    for port in spec["ports"]:
        for pod in chosen:
            declared = {k: v for c in pod.containers() for k, v in ports(c).items()}
            if port["targetPort"] not in {*declared, *declared.values()}:
                yield f"{pod} declares no port {port['targetPort']}"
            elif declared.get(port["targetPort"], port["port"]) != port["port"]:
                yield f"port {port['port']} is another one in {pod}"


def _scaler_faults(spec: Mapping[str, Any], known: Sequence[Pod]) -> Iterator[str]:
    target = spec["scaleTargetRef"]
    found = [pod for pod in known if (pod.kind, pod.name) == (target["kind"], target["name"])]
    if not found:
        yield f"there is no {target['kind']} {target['name']}"
    for pod in found:
        for container in pod.spec["containers"]:
            if "cpu" not in container.get("resources", {}).get("requests", {}):
                yield f"container {container['name']} requests no cpu to scale by"
    if spec["minReplicas"] > spec["maxReplicas"]:
        yield "minReplicas is above maxReplicas"


def _selector_faults(selector: Mapping[str, Any], known: Sequence[Pod]) -> Iterator[str]:
    labels = selector.get("matchLabels", {})
    if not any(selects(labels, pod) for pod in known):
        yield f"selects no pod by {labels}"


def _policy_faults(spec: Mapping[str, Any], known: Sequence[Pod]) -> Iterator[str]:
    yield from _selector_faults(spec["podSelector"], known)
    labels = spec["podSelector"].get("matchLabels", {})
    own = {name for p in known if selects(labels, p) for c in p.containers() for name in ports(c)}
    for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
        for peer in (*rule.get("from", ()), *rule.get("to", ())):
            if "namespaceSelector" not in peer:
                yield from _selector_faults(peer["podSelector"], known)
    for rule in spec.get("ingress", ()):
        for port in rule.get("ports", ()):
            if isinstance(port["port"], str) and port["port"] not in own:
                yield f"no pod that it selects declares port {port['port']}"


def _ingress_faults(
    spec: Mapping[str, Any], objects: Sequence[Manifest], keys: Keys
) -> Iterator[str]:
    for each in spec["tls"]:
        if ("Secret", each["secretName"]) not in keys:
            yield f"there is no secret {each['secretName']}"
    for path in (path for rule in spec["rules"] for path in rule["http"]["paths"]):
        wanted = path["backend"]["service"]
        service = of_kind(objects, "Service").get(wanted["name"])
        if service is None:
            yield f"there is no service {wanted['name']}"
        elif wanted["port"]["name"] not in {port["name"] for port in service["spec"]["ports"]}:
            yield f"service {wanted['name']} has no port {wanted['port']['name']}"
