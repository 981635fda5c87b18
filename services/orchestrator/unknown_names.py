"""Names in rules that nothing has: most are typing errors, and block or promote nothing."""

from collections.abc import Container, Iterator

from services.orchestrator.catalogue import Catalogue
from services.orchestrator.groups import EACH_CREATOR, EACH_GENRE
from services.orchestrator.rules import Block, Boost, Names, Rules

_MOST_NAMED = 50


def unknown_names(rules: Rules, catalogue: Catalogue) -> list[str]:
    """Where rules name a genre, item or creator that nothing has: one text each, at most 50."""
    known: dict[str, Container[str]] = {
        "genre": catalogue.genres.columns,
        "item": catalogue.items.row_of,
        "creator": catalogue.creators.columns,
    }
    found = [
        f"{where}: no {kind} {name!r}"
        for where, kind, names in _named(rules)
        for name in names
        if name not in known[kind]
    ]
    return found[:_MOST_NAMED]


def _named(rules: Rules) -> Iterator[tuple[str, str, Names]]:
    named: list[tuple[str, Block | Boost]] = [("block", rules.block)]
    named += [(f"policies.{n}.block", policy.block) for n, policy in enumerate(rules.policies)]
    named += [(f"boost.{n}", boost) for n, boost in enumerate(rules.boost)]
    for where, each in named:
        yield f"{where}.genres", "genre", each.genres
        yield f"{where}.items", "item", each.items
        yield f"{where}.creators", "creator", each.creators
    for number, window in enumerate(rules.windows):
        yield f"windows.{number}.items", "item", window.items
    for number, promotion in enumerate(rules.promote):
        yield f"promote.{number}.item_id", "item", (promotion.item_id,)
    own = tuple(name for name in rules.caps if name not in (EACH_GENRE, EACH_CREATOR))
    yield "caps", "genre", own
