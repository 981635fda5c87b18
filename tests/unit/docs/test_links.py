"""What the docs point at is there."""

import re
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_NAMED_FILE = re.compile(r"`((?:models|training|services|client|bench|deploy|tests)/[\w/]+\.\w+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target, anchor in _LINK.findall(_FENCED.sub("", page.read_text())):
        file = (page.parent / target).resolve() if target else page
        if not file.exists():
            broken.append(target)
        elif anchor and anchor not in anchors(file.read_text()):
            broken.append(f"{target}#{anchor}")
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    named = _NAMED_FILE.findall(page.read_text())
    assert [file for file in named if not (ROOT / file).exists()] == []


def test_anchors_are_those_of_headings() -> None:
    page = "# One\n\n## Measured: error, twice\n\n```text\n# no heading\n```\n"
    assert anchors(page) == {"one", "measured-error-twice"}


def anchors(page: str) -> set[str]:
    """What GitHub makes of the headings of a page."""
    titles = (title.lower() for title in _HEADING.findall(_FENCED.sub("", page)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}
