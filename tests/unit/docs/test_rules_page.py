"""The page of rules: its examples are rules, and no rule is left out."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from services.orchestrator.rules import Rules
from services.orchestrator.rules_yaml import parse_rules
from tests.unit.docs.pages import ROOT

PAGE = (ROOT / "docs/rules.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_each_example_is_rules(text: str) -> None:
    assert parse_rules(text).model_fields_set


def test_the_complete_example_uses_every_rule() -> None:
    rules = parse_rules((ROOT / "docs/rules.example.yaml").read_text())
    assert rules.model_fields_set == set(Rules.model_fields)


@pytest.mark.parametrize("name", list(Rules.model_fields))
def test_each_rule_has_a_heading_and_an_example(name: str) -> None:
    assert f"\n## `{name}`: " in PAGE
    assert any(re.search(rf"^{name}:", text, re.MULTILINE) for text in EXAMPLES)


def test_every_field_is_explained() -> None:
    explained = set(re.findall(r"\w+", "".join([*re.findall(r"`[^`\n]+`", PAGE), *EXAMPLES])))
    assert set(fields(Rules)) - explained == set()


def fields(model: type[BaseModel]) -> Iterator[str]:
    """Names of a schema's fields, and of all within."""
    for name, field in model.model_fields.items():
        yield name
        for part in parts(field.annotation):
            yield from fields(part)


def parts(annotation: Any) -> Iterator[type[BaseModel]]:
    """The schemas that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)
