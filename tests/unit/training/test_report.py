import copy
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from training.report import page, table

COHORT = {"n": 5, "hr@10": 0.4, "ndcg@10": 0.2, "recall@100": 0.6, "recall@500": 0.8}
NOBODY: dict[str, Any] = {"n": 0, **dict.fromkeys(list(COHORT)[1:])}
VOID = {"meta", "br", "img", "link", "input", "hr"}


def figures(ndcg: float) -> dict[str, Any]:
    metrics = {"hr@10": 0.3, "ndcg@10": ndcg, "recall@100": 0.6, "recall@500": 0.8}
    return {
        **metrics,
        "coverage@10": 0.25,
        "novelty": 3.5,
        "per_user": metrics,
        "recall": [0.1, 0.3, 0.8],
        "cohorts": {
            "history": {"0-4": COHORT, "5-19": NOBODY},
            "target": {"head": COHORT, "new": NOBODY},
        },
        "ci": {"hr@10": [0.2, 0.4], "ndcg@10": [ndcg - 0.05, ndcg + 0.05]},
        "seconds": {"choose": 1.0, "fit": 2.0, "score": 3.0},
    }


def document(*names: str) -> dict[str, Any]:
    difference = {"value": -0.01, "low": -0.02, "high": 0.001, "p": 0.04, "p_holm": 0.08}
    return {
        "protocol": "stream",
        "users": 5,
        "questions": 9,
        "targets": 9,
        "log": {"events": 90, "users": 6, "items": 40, "train_events": 81},
        "models": {name: figures(0.2 - 0.01 * at) for at, name in enumerate(names)},
        "recall_depths": [1, 10, 500],
        "reference": names[0],
        "paired": {name: {"ndcg@10": difference, "hr@10": difference} for name in names[1:]},
        "bootstrap": {"resamples": 10_000, "level": 0.95, "seed": 0, "unit": "user"},
        "settings": {name: f"{name.title()}(k=3)" for name in names},
        "validation": {names[0]: [{"setting": "A(1)", "ndcg@10": 0.1}]},
        "peak_rss_mb": 400,
    }


class Page(HTMLParser):
    """Collects what matters, and that all elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href"):
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_the_page_is_whole_and_needs_nothing_from_outside() -> None:
    text = page(document("tandem", "popularity"))
    found = Page(text)
    assert not found.open
    assert found.tags.count("svg") == 5
    assert found.links and all(link.startswith("#") for link in found.links)
    assert not re.search(r"@import|<script|<link|url\((?!#)", text)
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))


def test_texts_of_models_and_settings_are_escaped() -> None:
    name = "<b>&$x$"
    found = Page(page(document("tandem", name)))
    assert "b" not in found.tags
    assert found.texts.count(name) >= 3  # tables, settings, plots
    assert f"{name.title()}(k=3)" in found.texts


def test_the_same_document_gives_the_same_page() -> None:
    assert page(document("a", "b")) == page(document("a", "b"))


def test_the_table_says_how_sure_each_difference_is() -> None:
    columns, rows = table(document("tandem", "popularity"))
    by_column = [dict(zip(columns, row, strict=True)) for row in rows]
    assert by_column[0]["95 % of ndcg@10"] == "0.150–0.250"
    assert by_column[0]["ndcg@10 less tandem"] == "–"
    assert by_column[1]["ndcg@10 less tandem"] == "-0.0100"
    assert by_column[1]["p (Holm)"] == "0.080"


def test_what_was_served_is_a_row_of_its_own() -> None:
    served = {**document("tandem"), "served": {"hr@10": 0.1, "ndcg@10": 0.05}}
    columns, rows = table(served)
    row = dict(zip(columns, rows[-1], strict=True))
    assert (row["model"], row["hr@10"], row["coverage@10"]) == ("served", 0.1, "–")
    assert "served" in Page(page(served)).texts


@pytest.mark.parametrize("names", [("popularity",), tuple(f"_model_{at}" for at in range(25))])
def test_one_model_or_many_can_be_shown(names: tuple[str, ...]) -> None:
    without = copy.deepcopy(document(*names))
    without |= {"reference": None, "paired": {}}
    assert "p (Holm)" not in table(without)[0]
    assert not Page(page(without)).open
