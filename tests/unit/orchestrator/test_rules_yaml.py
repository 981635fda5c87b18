"""Rules are read strictly; every fault is named by line and field."""

import pytest

from services.orchestrator.rules import Rules
from services.orchestrator.rules_yaml import ActiveRules, RulesError, parse_rules

WHOLE = """\
block: {genres: [Horror], items: [007, "13"], creators: [X], adult: true}
policies:
  - audience: {younger_than: 12, regions: [de], devices: [tv]}
    block: {genres: [War]}
windows: [{items: [1], ends: 2026-01-01T00:00:00Z}]
seen: {kinds: [watch, rating]}
frequency: {times: 3, days: 2}
boost: [{by: 1, genres: [Drama]}]
promote:
  - {item_id: 5, slot: 1, budget: 100, label: Sponsored}
  - item_id: x
    slots: {first: 2, last: 4}
    budget: 10
    pacing: even
    starts: 2026-01-01T00:00:00Z
    ends: 2026-02-01T00:00:00+01:00
    audience: {regions: [pt]}
caps: {genre: 3, creator: 1, War: 0}
diversity: {method: dpp, weight: 0.3, calibration: 0.2, spread: [{of: genre, most: 2, within: 5}]}
"""


def test_all_rules_are_read() -> None:
    rules = parse_rules(WHOLE)
    assert rules.block.items == ("007", "13")  # an id is what is written, not a number
    assert [promotion.key for promotion in rules.promote] == ["5@1", "x@2-4"]
    assert rules.caps == {"genre": 3, "creator": 1, "War": 0}
    assert set(Rules.model_fields) == rules.model_fields_set


def test_no_text_is_no_rules_and_the_digest_tells_texts_apart() -> None:
    assert parse_rules("") == parse_rules("# nothing") == Rules()
    assert ActiveRules.of("caps: {genre: 1}").digest != ActiveRules.of("caps: {genre: 2}").digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seen: {}\nblok: {}", "rules:2: blok: no such rule"),
        ("block:\n  genres: Horror", "rules:2: block.genres: must be a list"),
        ("block:\n  items: [no]", "rules:2: block.items.0: must be text, is False"),
        ("promote:\n- item_id: a\n  slot: 0", "rules:3: promote.0.slot: input should be greater"),
        ("promote: [{item_id: a}]", "promote.0: must set either slot or slots"),
        ("promote: [{item_id: a, slot: 1, slots: {first: 1, last: 2}}]", "either slot or slots"),
        ("promote: [{item_id: a, slot: 1, pacing: even}]", "needs budget, starts and ends"),
        ("promote: [{item_id: a, slot: 1, budget: 1.5}]", "promote.0.budget"),
        ("promote: [{item_id: a, slot: 1}, {item_id: a, slot: 1}]", "a name that is taken"),
        ("promote: [{item_id: a, slots: {first: 3, last: 2}}]", "last must not be before first"),
        ("block: {}\nblock: {}", "rules:2: block: is there twice"),
        ("a: [", "rules:1: expected the node content"),
        ("caps: {genre: -1}", "caps.genre"),
        ("- 1", "rules:1: must be a mapping"),
        ("seen: {kinds: [wach]}", "seen.kinds.0: input should be 'rating'"),
        ("diversity:\n  weight: .nan", "rules:2: diversity.weight"),
        ("diversity:\n  weight: 2", "rules:2: diversity.weight"),
        ("windows: [{items: [a], ends: 2026-01-01}]", "windows.0.ends"),
        ("windows: [{items: [a], ends: 2026-01-01T00:00:00}]", "timezone"),
        (
            "windows: [{items: [a], starts: 2026-01-02T00:00:00Z, ends: 2026-01-01T00:00:00Z}]",
            "ends must be later than starts",
        ),
        ("boost: [{by: 1}]", "boost.0: must set genres, items, creators or sources"),
        ("policies: [{audience: {}, block: {}}]", "must set younger_than, regions or devices"),
        ("diversity: {spread: [{of: genre, most: 3, within: 3}]}", "most must be smaller"),
        ("x: &a [1]\ny: *a", "rules:1: is used by an alias"),
        ("x: !!python/object:os.system 1", "rules:1: could not determine a constructor"),
        ("x: \0", "rules:1: not YAML"),
        ("#" * (1 << 20) + "#", "rules:1: longer than 1 MiB"),
    ],
)
def test_a_fault_is_named_by_line_field_and_reason(text: str, said: str) -> None:
    with pytest.raises(RulesError) as caught:
        parse_rules(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_deep_nesting_is_refused_and_not_followed() -> None:
    with pytest.raises(RulesError):
        parse_rules("[" * 5_000 + "]" * 5_000)
