"""Alerts: those of `deploy/prometheus`, and more that only a cluster has."""

import re
from collections.abc import Iterator, Sequence

import yaml

from tests.k8s.pods import of_kind
from tests.k8s.rendering import K8S, Manifest

EVERYWHERE = K8S.parent / "prometheus" / "alerts.yaml"

_METRIC = re.compile(r"\b[a-z]+_[a-z0-9_]+(?=\{)")
_OF_CLUSTERS = {  # of Ray Serve, and of kube-state-metrics
    "ray_serve_deployment_replica_healthy",
    "kube_deployment_status_replicas_unavailable",
    "kube_horizontalpodautoscaler_spec_max_replicas",
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_job_status_failed",
}


def alert_faults(objects: Sequence[Manifest]) -> Iterator[str]:
    """Alerts that differ from those of one machine, or are of what no cluster measures."""
    known = yaml.safe_load(EVERYWHERE.read_text())["groups"]
    for name, each in of_kind(objects, "PrometheusRule").items():
        groups = each["spec"]["groups"]
        if groups[: len(known)] != known:
            yield f"PrometheusRule {name} does not begin with {EVERYWHERE.name}"
        for rule in (rule for group in groups[len(known) :] for rule in group["rules"]):
            asked = set(_METRIC.findall(rule["expr"]))
            for metric in sorted(asked - _OF_CLUSTERS) if asked else ["no metric"]:
                yield f"alert {rule['alert']}: no cluster serves {metric}"
