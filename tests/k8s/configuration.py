"""Whether each container's variables and ports are those of what runs in it: the service's settings
class is built from them, and the job's command parses them."""

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import click
from pydantic import ValidationError

from services.common.settings import ServiceSettings
from services.features.settings import FeaturesSettings
from services.orchestrator.settings import OrchestratorSettings
from services.ranking.settings import RankingSettings
from services.retrieval.settings import RetrievalSettings
from tests.k8s.pods import RAY, Pod, of_kind, pods, ports
from tests.k8s.rendering import Manifest

SETTINGS: dict[str, type[ServiceSettings]] = {
    "services.orchestrator": OrchestratorSettings,
    "services.features": FeaturesSettings,
    "services.retrieval": RetrievalSettings,
    "services.ranking": RankingSettings,
}
_OTHERS = {"HOME", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "RAY_USAGE_STATS_ENABLED"}
_SECRET_VALUES = {"url": "postgresql+psycopg://user@database.example/tandem"}

Container = Mapping[str, Any]


def configuration_faults(objects: Sequence[Manifest]) -> Iterator[str]:
    """Variables and ports that what runs in a container does not know, or misses."""
    for pod in pods(objects):
        for container in pod.containers():
            faults = _faults(pod, container, objects)
            yield from (f"{pod}, container {container['name']}: {fault}" for fault in faults)


def given_settings(objects: Sequence[Manifest]) -> dict[str, set[str]]:
    """Names of the settings that each service is given, by its module."""
    given: dict[str, set[str]] = {}
    for pod in pods(objects):
        for container in pod.containers():
            settings = SETTINGS.get(module := _module(pod, container))
            if settings is not None:
                prefix = str(settings.model_config.get("env_prefix"))
                names = {name.removeprefix(prefix).lower() for name in _variables(container)}
                given.setdefault(module, set()).update(names & settings.model_fields.keys())
    return given


def settings_of(module: str, container: Container, objects: Sequence[Manifest]) -> ServiceSettings:
    """The settings that a service would have in a container.

    Raises:
        pydantic.ValidationError: it would not start.
    """
    with environment(_values(container, objects)):
        return SETTINGS[module].model_validate({})


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """The process's environment as that of a container."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _faults(pod: Pod, container: Container, objects: Sequence[Manifest]) -> Iterator[str]:
    module = _module(pod, container)
    if module in SETTINGS:
        yield from _service_faults(pod, module, container, objects)
    elif module:
        yield from _job_faults(module, container, objects)


def _module(pod: Pod, container: Container) -> str:
    """What Python runs in a container; "" where it is another program."""
    if pod.kind == RAY:
        return "services.ranking"
    command = container.get("command", [])
    return str(command[2]) if command[:2] == ["python", "-m"] else ""


def _variables(container: Container) -> dict[str, Mapping[str, Any]]:
    return {each["name"]: each for each in container.get("env", ())}


def _values(container: Container, objects: Sequence[Manifest]) -> dict[str, str]:
    """Values of the variables; where a secret is not at hand, one of its form."""
    found = {}
    for name, each in _variables(container).items():
        if "value" in each:
            found[name] = str(each["value"])
            continue
        for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
            if field in each["valueFrom"]:
                key = each["valueFrom"][field]["key"]
                data = of_kind(objects, kind).get(each["valueFrom"][field]["name"], {})
                held = data.get("data", {}) if kind == "ConfigMap" else _SECRET_VALUES
                found[name] = str(held.get(key, "text"))
    return found


def _service_faults(
    pod: Pod, module: str, container: Container, objects: Sequence[Manifest]
) -> Iterator[str]:
    prefix = str(SETTINGS[module].model_config.get("env_prefix"))
    for name in _variables(container):
        if not name.startswith((prefix, "RAY_SERVE_")) and name not in _OTHERS:
            yield f"{name} is no setting of {module}"
    try:
        settings = settings_of(module, container, objects)
    except ValidationError as error:
        for each in error.errors():
            yield f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
        return
    yield from _address_faults(settings, objects)
    if pod.kind != RAY:
        yield from _port_faults(pod, settings, container)


def _port_faults(pod: Pod, settings: ServiceSettings, container: Container) -> Iterator[str]:
    declared = ports(container)
    wanted = {"grpc": settings.port, "metrics": settings.metrics_port}
    if isinstance(settings, RankingSettings):
        wanted["fallback"] = settings.fallback_port
    if declared != wanted:
        yield f"declares ports {declared}, but listens on {wanted}"
    if settings.host != "0.0.0.0":
        yield f"listens on {settings.host}, where nobody reaches it"
    stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    if pod.spec["terminationGracePeriodSeconds"] <= stop + settings.drain_seconds:
        yield "is killed before it has drained"


def _address_faults(settings: ServiceSettings, objects: Sequence[Manifest]) -> Iterator[str]:
    addresses: list[str] = []
    if isinstance(settings, OrchestratorSettings):
        addresses += settings.features_addresses + settings.retrieval_addresses
        addresses += settings.ranking_addresses
    if isinstance(settings, RetrievalSettings):
        addresses.append(urlsplit(settings.milvus_uri).netloc)
    services = of_kind(objects, "Service")
    for address in addresses:
        name, _, port = address.rpartition(":")
        if "." in name or (name == "milvus" and "milvus" not in services):
            continue  # outside this namespace, or not of this folder
        offered = services.get(name, {}).get("spec", {}).get("ports", ())
        if int(port) not in {each["port"] for each in offered}:
            yield f"no service listens at {address}"


def _job_faults(module: str, container: Container, objects: Sequence[Manifest]) -> Iterator[str]:
    try:
        runs = importlib.import_module(module)
        if hasattr(runs, "__path__"):
            runs = importlib.import_module(f"{module}.__main__")
    except ModuleNotFoundError as error:
        yield f"cannot be started: {error}"
        return
    command: click.Command = runs.main
    known = {str(parameter.envvar) for parameter in command.params} | _OTHERS
    for name in _variables(container):
        if name not in known:
            yield f"{name} is read by nobody"
    arguments = [*container["command"][3:], *container.get("args", ())]
    try:
        with environment(_values(container, objects)):
            command.make_context(module, list(arguments))
    except click.ClickException as error:
        yield error.format_message()
