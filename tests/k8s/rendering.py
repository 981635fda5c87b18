"""Renders kustomize folders of `deploy/k8s`, offline."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

K8S = Path(__file__).parents[2] / "deploy" / "k8s"
REQUIRED = "TANDEM_REQUIRE_KUSTOMIZE"
"""Set where the tests must not be skipped."""

Manifest = dict[str, Any]


def render(folder: str) -> list[Manifest]:
    """The objects of a folder; skips the test where nothing can render it."""
    return [each for each in yaml.load_all(_rendered(folder), yaml.CSafeLoader) if each]


@cache
def _rendered(folder: str) -> str:
    done = subprocess.run([*kustomize(), K8S / folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kustomize() -> list[str]:
    """The command that renders a folder; skips the test, or fails it, where there is none."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    missing = "neither kubectl nor kustomize is installed"
    if os.environ.get(REQUIRED):
        pytest.fail(missing)
    pytest.skip(missing)


def read(file: str) -> list[Manifest]:
    """The objects of a file that kustomize does not render."""
    return [each for each in yaml.safe_load_all((K8S / file).read_text()) if each]
