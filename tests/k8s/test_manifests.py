"""What kustomize renders can be applied, and fits the code that it configures."""

import pytest

from tests.k8s.checks import CHECKS, Check
from tests.k8s.configuration import SETTINGS, given_settings
from tests.k8s.policies import policy_faults
from tests.k8s.quantities import quantity, quantity_faults
from tests.k8s.references import reference_faults
from tests.k8s.rendering import REQUIRED, Manifest, kustomize, read, render
from tests.k8s.schemas import schema_faults

FOLDERS = ("base", "overlays/kind", "overlays/production")
EXPECTED = "overlays/production/secrets.example.yaml"
DEFAULTED = {
    "services.orchestrator": {
        *("candidates", "prepare_seconds", "probe_metric_margin", "probe_seconds", "known_users"),
        *("release_poll_seconds", "exploration_rate", "exploration_days"),
        *("slate_log_days", "slate_detail_days"),
    },
    "services.features": {
        *("registry_type", "registry_path", "retention_days", "seen_cache_items", "trend_items"),
        "offline_megabytes",
    },
    "services.retrieval": {
        *("index_kind", "flat_up_to", "least_recall", "source_timeout_seconds"),
        *("source_budget_share", "quotas", "releases_held"),
    },
    "services.ranking": {
        *("fallback_port", "min_replicas", "max_replicas", "loaded_releases"),
        *("max_ongoing_requests", "upscale_delay_seconds"),
        *("metrics_interval_seconds", "max_connection_seconds"),
    },
}
"""Settings that are left at their defaults on purpose. A new one goes here or into a manifest."""

EVERYWHERE = {
    *("port", "default_deadline_seconds", "drain_seconds", "log_level"),
    *("max_concurrent_requests", "max_concurrent_admin_calls"),
}
"""The same, of all services."""


@pytest.fixture(scope="module", params=FOLDERS)
def objects(request: pytest.FixtureRequest) -> list[Manifest]:
    return render(request.param)


@pytest.mark.parametrize("check", CHECKS)
def test_nothing_is_wrong_with_what_is_rendered(check: Check, objects: list[Manifest]) -> None:
    assert list(check(objects)) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_whatever_is_referred_to_is_there(folder: str) -> None:
    elsewhere = [] if folder == "overlays/kind" else read(EXPECTED)
    assert list(reference_faults(render(folder), elsewhere)) == []


@pytest.mark.parametrize("check", [schema_faults, policy_faults, quantity_faults])
def test_nothing_is_wrong_with_what_is_applied_by_hand(check: Check) -> None:
    assert list(check(read("overlays/production/load-data.yaml"))) == []


def test_every_setting_is_given_or_left_alone_on_purpose() -> None:
    given = given_settings(render("overlays/kind"))
    for module, settings in SETTINGS.items():
        missing = settings.model_fields.keys() - given[module] - EVERYWHERE
        assert missing == DEFAULTED[module], module


def test_kind_fits_a_small_node() -> None:
    memory = cpu = 0.0
    for each in render("overlays/kind"):
        if each["kind"] == "Deployment":
            for container in each["spec"]["template"]["spec"]["containers"]:
                memory += quantity(container["resources"]["requests"]["memory"])
                cpu += quantity(container["resources"]["requests"]["cpu"])
    assert memory < 6 * 2**30 and cpu < 1.0


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", 0.5), ("2", 2), ("1Ki", 1024), ("1.5Gi", 1.5 * 2**30), ("2k", 2000), ("1e3", 1000)],
)
def test_quantities_are_read(text: str, number: float) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "1GB", "one", "1 Gi", "-1", "m"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        quantity(text)


def test_what_cannot_be_rendered_is_skipped_but_where_it_must_not_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="neither kubectl nor kustomize"):
        kustomize()
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="neither kubectl nor kustomize"):
        kustomize()
