"""Every object against the schema of its kind: Kubernetes' own, or ours for what operators add."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import jsonschema
import kubernetes_validate

from tests.k8s.pods import RAY, pods
from tests.k8s.rendering import Manifest

KUBERNETES = "1.32"
_OURS = Path(__file__).with_name("operators")


def schema_faults(objects: Sequence[Manifest]) -> Iterator[str]:
    """What a kind's schema does not allow, unknown fields included."""
    for each in objects:
        yield from _faults(each)
    for pod in pods(objects):
        if pod.kind == RAY:
            made = {"metadata": {"name": pod.name, "labels": pod.labels}, "spec": pod.spec}
            yield from _faults({"apiVersion": "v1", "kind": "Pod", **made})


def _faults(each: Manifest) -> Iterator[str]:
    named = f"{each['kind']} {each['metadata']['name']}"
    ours = _OURS / f"{each['kind'].lower()}.json"
    try:
        if ours.exists():
            jsonschema.validate(each, json.loads(ours.read_text()))
        else:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        yield f"{named}: {'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        yield f"{named}: {error.message}"
