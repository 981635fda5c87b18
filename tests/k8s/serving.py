"""The Ray Serve application of a RayService: what the resource holds as text."""

import importlib
import warnings
from collections.abc import Iterator, Sequence

import yaml
from pydantic import ValidationError
from ray.serve._private import constants
from ray.serve.schema import ServeApplicationSchema, ServeDeploySchema

from services.ranking.app import GRPC_SERVICERS
from tests.k8s.configuration import environment
from tests.k8s.pods import RAY, of_kind, pods, ports
from tests.k8s.rendering import Manifest

_ENVIRONMENT = {"RANKING_RELEASE_ROOT": "/releases", "RANKING_DATABASE_URL": "sqlite://"}


def serving_faults(objects: Sequence[Manifest]) -> Iterator[str]:
    """What Ray Serve would refuse, or where its configuration and the pods differ."""
    for name, each in of_kind(objects, RAY).items():
        yield from (f"{RAY} {name}: {fault}" for fault in _faults(each, objects))


def _faults(each: Manifest, objects: Sequence[Manifest]) -> Iterator[str]:
    try:
        config = ServeDeploySchema.model_validate(yaml.safe_load(each["spec"]["serveConfigV2"]))
    except (ValidationError, yaml.YAMLError) as error:
        yield f"serveConfigV2: {error}"
        return
    if sorted(config.grpc_options.grpc_servicer_functions) != sorted(GRPC_SERVICERS):
        yield "serveConfigV2 does not list app.GRPC_SERVICERS"
    for application in config.applications:
        yield from _application_faults(application)
    for pod in pods(objects):
        if pod.kind != RAY:
            continue
        declared = ports(pod.spec["containers"][0])
        listened = {"grpc": config.grpc_options.port, "serve": config.http_options.port}
        for name, port in listened.items():
            if declared.get(name) != port:
                yield f"{pod.part} declares {declared.get(name)} as {name}, but it is {port}"
        yield from _variable_faults(pod.spec["containers"][0]["env"])


def _application_faults(application: ServeApplicationSchema) -> Iterator[str]:
    module, _, builder = application.import_path.partition(":")
    try:
        build = getattr(importlib.import_module(module), builder)
    except (ImportError, AttributeError) as error:
        yield f"import_path: {error}"
        return
    try:
        with environment(_ENVIRONMENT), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a setting, see app.py
            built = build(application.args)
    except ValidationError as error:
        yield f"args: {error}"
        return
    deployed = built._bound_deployment.name
    for deployment in application.deployments:
        if deployment.name != deployed:
            yield f"there is no deployment {deployment.name}, but {deployed}"


def _variable_faults(variables: Sequence[Manifest]) -> Iterator[str]:
    for name in (each["name"] for each in variables):
        if name.startswith("RAY_SERVE_") and not hasattr(constants, name):
            yield f"Ray Serve knows no {name}"
