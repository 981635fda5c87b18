"""Quantities of Kubernetes: `500m`, `1.5Gi`, `2`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.k8s.pods import pods
from tests.k8s.rendering import Manifest

_FORM = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(|m|[kMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)")
_POWERS = {letter: power for power, letter in enumerate("kMGTPE", 1)}


def quantity(text: object) -> float:
    """A quantity as a number.

    Raises:
        ValueError: it is none.
    """
    form = _FORM.fullmatch(str(text))
    if form is None:
        raise ValueError(f"{text!r} is no quantity")
    number, unit = float(form[1]), form[2]
    if unit == "m":
        return number / 1000
    if unit.endswith("i"):
        return float(number * 1024 ** _POWERS[unit[0].replace("K", "k")])
    if unit[:1] in ("e", "E") and unit[1:]:
        return float(number * 10 ** int(unit[1:]))
    return float(number * 1000 ** _POWERS[unit]) if unit else number


def quantity_faults(objects: Sequence[Manifest]) -> Iterator[str]:
    """Quantities that are none, and requests above their limits."""
    for each in objects:
        named = f"{each['kind']} {each['metadata']['name']}"
        claims = each.get("spec", {}).get("resources", {})
        yield from (f"{named}: {fault}" for fault in _pair_faults(claims))
    for pod in pods(objects):
        for container in pod.containers():
            for fault in _pair_faults(container.get("resources", {})):
                yield f"{pod}, container {container['name']}: {fault}"
        for volume in pod.spec.get("volumes", ()):
            size = (volume.get("emptyDir") or {}).get("sizeLimit", 0)
            yield from (f"{pod}, volume {volume['name']}: {f}" for f in _one({"size": size}))


def _pair_faults(resources: Mapping[str, Any]) -> Iterator[str]:
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    bad = [*_one(requests), *_one(limits)]
    yield from bad
    for what in () if bad else requests.keys() & limits.keys():
        if quantity(requests[what]) > quantity(limits[what]):
            yield f"requests {requests[what]} of {what}, above its limit"


def _one(values: Mapping[str, Any]) -> Iterator[str]:
    for value in values.values():
        try:
            quantity(value)
        except ValueError as error:
            yield str(error)
