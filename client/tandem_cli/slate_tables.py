"""Tables of slates, and of what became of their candidates."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_cli.output import print_table

CANDIDATES_SHOWN = 30


def print_slate(
    items: Sequence[pb.RecommendedItem], trace: pb.Trace, caption: str, *, chances: bool = True
) -> None:
    """The items in order, each with why it is there and how far rules and diversity moved it.

    Args:
        chances: whether to show propensities.
    """
    ranks = {each.item_id: each.rank for each in trace.candidates}
    columns = ["place", "item", "title", "score", "sources", "reasons", "label"]
    rows = [
        [
            *(place, each.item_id, each.title, each.score, _sources(each.source_ranks)),
            *("; ".join(each.reasons), each.label),
            *([each.propensity] if chances else []),
            _move(ranks.get(each.item_id, 0), place),
        ]
        for place, each in enumerate(items, start=1)
    ]
    columns += ["propensity"] if chances else []
    print_table(*_without_empty([*columns, "by score"], rows), caption)


def print_dropped(trace: pb.Trace) -> None:
    """How many candidates each filter and rule kept out; nothing when none was."""
    dropped = Counter(each.dropped_by for each in trace.candidates if each.dropped_by)
    if dropped:
        rows = [[by, count] for by, count in dropped.most_common()]
        print_table(["kept out by", "candidates"], rows)


def print_candidates(trace: pb.Trace, show_all: bool) -> None:
    """The candidates with their fates: those of the slate first, then by score."""
    shown = trace.candidates if show_all else trace.candidates[:CANDIDATES_SHOWN]
    caption = f"{len(shown)} of {len(trace.candidates)} candidates"
    if len(shown) < len(trace.candidates):
        caption += "; --all shows every one"
    print_table(
        ["item", "title", "sources", "retrieval", "score", "rank", "fate"],
        [
            [
                *(each.item_id, each.title, _sources(each.source_ranks), each.retrieval_score),
                *([each.score, each.rank] if each.rank else ["", ""]),
                _fate(each),
            ]
            for each in shown
        ],
        caption,
    )


def changes(
    original: Sequence[pb.RecommendedItem], items: Sequence[pb.RecommendedItem]
) -> list[list[Any]]:
    """Two slates side by side: place, item and score of each, and what changed."""
    was = {each.item_id: place for place, each in enumerate(original, start=1)}
    now = {each.item_id for each in items}
    rows = list[list[Any]]()
    for at in range(max(len(original), len(items))):
        before = original[at] if at < len(original) else None
        after = items[at] if at < len(items) else None
        found = list[str]()
        if before is not None and before.item_id not in now:
            found.append(f"{before.item_id} is gone")
        if after is not None and after.item_id not in was:
            found.append(f"{after.item_id} is new")
        elif after is not None and was[after.item_id] != at + 1:
            found.append(f"{after.item_id} was {was[after.item_id]}")
        elif after is not None and before is not None and _shown(after) != _shown(before):
            found.append("score")
        rows.append([at + 1, *_cells(before), *_cells(after), ", ".join(found)])
    return rows


def _cells(each: pb.RecommendedItem | None) -> list[Any]:
    return ["", ""] if each is None else [each.title or each.item_id, _shown(each)]


def _shown(each: pb.RecommendedItem) -> str:
    """A score as it is printed: no difference is told that cannot be seen."""
    return f"{each.score:.4g}"


def _sources(ranks: Any) -> str:
    return ", ".join(f"{name} {rank}" for name, rank in sorted(ranks.items(), key=lambda r: r[1]))


def _move(rank: int, place: int) -> str:
    """Place by score, and the place it has where that is another one."""
    if not rank:
        return ""
    return str(rank) if rank == place else f"{rank} → {place}"


def _fate(each: pb.CandidateTrace) -> str:
    if each.place:
        return f"place {each.place}"
    return each.dropped_by or "not chosen"


def _without_empty(
    columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[list[str], list[list[Any]]]:
    """Without columns that say nothing in any row: terminals are narrow."""
    kept = [at for at in range(len(columns)) if not rows or any(row[at] != "" for row in rows)]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]
