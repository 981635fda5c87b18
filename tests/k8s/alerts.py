"""Alerts: each must ask for metrics that something serves."""

import re
from collections.abc import Iterator, Sequence

from prometheus_client import REGISTRY

# Imported for their metrics.
from services.features import metrics  # noqa: F401
from services.orchestrator import rules_file, service  # noqa: F401
from services.retrieval import retriever  # noqa: F401
from tests.k8s.pods import of_kind
from tests.k8s.rendering import Manifest

_METRIC = re.compile(r"\b(?:tandem|ray|kube)_[a-z0-9_]+")
_OTHERS = {  # of Ray Serve, and of kube-state-metrics
    "ray_serve_deployment_replica_healthy",
    "kube_job_status_failed",
    "kube_cronjob_status_last_successful_time",
}


def alert_faults(objects: Sequence[Manifest]) -> Iterator[str]:
    """Alerts on what nobody measures."""
    served = {sample.name for metric in REGISTRY.collect() for sample in metric.samples}
    for family in REGISTRY.collect():  # those with labels have no sample yet
        served |= {family.name + end for end in ("", "_total", "_bucket", "_count", "_sum")}
    for each in of_kind(objects, "PrometheusRule").values():
        for rule in (rule for group in each["spec"]["groups"] for rule in group["rules"]):
            for metric in sorted(set(_METRIC.findall(rule["expr"])) - served - _OTHERS):
                yield f"alert {rule['alert']}: nobody serves {metric}"
            if not rule["annotations"].get("summary"):
                yield f"alert {rule['alert']}: says nothing"
