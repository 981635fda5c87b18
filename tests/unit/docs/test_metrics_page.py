"""Metrics, their page and their alerts speak of the same."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from services.orchestrator.collectors import SkewCollector
from tests.contract.test_skew_runs import RUN
from tests.unit.docs.pages import ROOT

PAGE = (ROOT / "docs/operations.md").read_text()
TABLE = PAGE[PAGE.index("\n## Watch\n") : PAGE.index("\n## Training and serving agree\n")]
GROUPS: list[dict[str, Any]] = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())[
    "groups"
]
RULES = [rule for group in GROUPS for rule in group["rules"]]
OF_RELEASES = {"tandem_release", "tandem_release_cut_off_timestamp_seconds"}


def families(text: str) -> set[str]:
    """Metrics that a text names, without what is added to their samples' names."""
    return {
        re.sub("_(total|bucket|info)$", "", name) for name in re.findall(r"\btandem_\w+\b", text)
    }


@pytest.fixture(scope="module")
def served() -> set[str]:
    """All that the services can show."""
    for file in sorted(Path(ROOT, "services").rglob("*.py")):
        if "from prometheus_client import" in file.read_text():
            import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    counted = {family.name for family in REGISTRY.collect() if family.name.startswith("tandem_")}
    return counted | OF_RELEASES | {each.name for each in SkewCollector(lambda: RUN).collect()}


def test_the_page_has_every_metric_and_no_other(served: set[str]) -> None:
    assert families(TABLE) == served


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_is_of_metrics_that_are_served(rule: dict[str, str], served: set[str]) -> None:
    asked = families(rule["expr"])
    assert asked and asked <= served


def test_the_page_says_what_each_alert_means() -> None:
    assert set(re.findall(r"`(Tandem\w+)`", TABLE)) == {rule["alert"] for rule in RULES}
