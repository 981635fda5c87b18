"""Slates and releases as messages of the public API."""

import math
from collections.abc import Sequence

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from services.common.releases import ReleaseRecord
from services.orchestrator.candidates import (
    LABEL,
    PART,
    PREDICTION,
    PROPENSITY,
    Candidates,
    Query,
    merge,
)
from services.orchestrator.pipeline import Level, Record, Slate
from services.orchestrator.reasons import Facts, reasons
from services.orchestrator.replay import Logged, Tried
from services.orchestrator.user_trace import encode_user_trace
from tandem.recommender.v1 import recommender_pb2 as pb

_SAME = 1e-5
"""How far apart scores may be that count as the same."""


def encode_slate(slate: Slate, explain: bool, facts: Sequence[Facts] = ()) -> pb.RecommendResponse:
    """An answer; asked to explain, with parts of scores and a trace.

    Args:
        facts: of each item; empty where none are known.
    """
    chosen, record = slate.chosen, slate.record
    return pb.RecommendResponse(
        items=encode_items(slate, facts),
        release_id=slate.query.release.release_id,
        level=encode_level(record.level),
        stage_millis=record.stage_millis,
        request_id=slate.query.request_id,
        trace=encode_trace(slate.query, record, chosen) if explain else None,
    )


def encode_items(slate: Slate, facts: Sequence[Facts] = ()) -> list[pb.RecommendedItem]:
    """The items of a slate, in order."""
    items, chosen = slate.query.catalogue.items, slate.chosen
    scores = chosen.columns.get(PREDICTION, chosen.scores)
    propensities = chosen.columns.get(PROPENSITY, np.ones(len(chosen)))
    labels = chosen.columns.get(LABEL, np.full(len(chosen), "", object))
    parts = {
        name.removeprefix(PART): column
        for name, column in chosen.columns.items()
        if name.startswith(PART)
    }
    nothing = [Facts()] * len(chosen)
    return [
        pb.RecommendedItem(
            item_id=items.ids[row],
            score=score,
            title=items.titles[row],
            sources=chosen.sources_of(position),
            parts={name: values[position] for name, values in parts.items()},
            propensity=propensities[position],
            source_ranks=chosen.ranks_of(position),
            label=labels[position],
            reasons=reasons(why),
            causes=[
                pb.Cause(item_id=c.item_id, title=c.title, kind=int(c.kind), drop=c.drop)  # type: ignore[arg-type]
                for c in why.causes
            ],
        )
        for position, (row, score, why) in enumerate(
            zip(chosen.rows.tolist(), scores.tolist(), facts or nothing, strict=True)
        )
    ]


def encode_trace(query: Query, record: Record, chosen: Candidates) -> pb.Trace:
    """What happened to a request, and what became of each candidate."""
    return pb.Trace(
        stages=[
            pb.StageTrace(
                stage=c.stage,
                component=c.component,
                rows_in=c.rows_in,
                rows_out=c.rows_out,
                millis=c.millis,
                error=c.error,
            )
            for c in record.components
        ],
        user=encode_user_trace(query),
        candidates=_encode_candidates(query, record, chosen),
        rules_digest=query.active.digest,
    )


def _encode_candidates(query: Query, record: Record, chosen: Candidates) -> list[pb.CandidateTrace]:
    """Those of the slate first, then by rank, then what was dropped."""
    items, found, ranked = query.catalogue.items, merge(record.found), record.ranked
    places = {row: place for place, row in enumerate(chosen.rows.tolist(), start=1)}
    ranks = {row: rank for rank, row in enumerate(ranked.rows.tolist(), start=1)}
    scores = dict(zip(ranked.rows.tolist(), ranked.scores.tolist(), strict=True))
    dropped = {row: each.by for each in record.dropped for row in each.rows.tolist()}
    last = len(found) + len(ranked)
    order = sorted(
        range(len(found)),
        key=lambda at: (
            places.get(row := int(found.rows[at]), last),
            ranks.get(row, last),
        ),
    )
    return [
        pb.CandidateTrace(
            item_id=items.ids[row],
            title=items.titles[row],
            source_ranks=found.ranks_of(at),
            retrieval_score=found.scores[at],
            dropped_by="" if row in places else dropped.get(row, ""),
            score=scores.get(row, 0.0),
            rank=ranks.get(row, 0),
            place=places.get(row, 0),
        )
        for at, row in ((at, int(found.rows[at])) for at in order)
    ]


def encode_release(record: ReleaseRecord) -> pb.Release:
    """A release as it is listed."""
    created_at = Timestamp()
    created_at.FromDatetime(record.created_at)
    return pb.Release(
        release_id=record.release_id,
        state=f"RELEASE_STATE_{record.state.value}",
        created_at=created_at,
        metrics=record.metrics,
        reason=record.reason,
    )


def encode_level(level: Level) -> str:
    """The name of a level in the API."""
    return f"LEVEL_{level.name}"


def encode_logged(logged: Logged, slate: Slate, facts: Sequence[Facts]) -> pb.ExplainSlateResponse:
    """A slate of the log, with all that is known of how it came about."""
    answer = encode_slate(slate, explain=True, facts=facts)
    answer.trace.ClearField("stages")  # what each component took is not logged
    explained = pb.ExplainSlateResponse(
        request=logged.served.message.request, response=answer, rules=logged.active.text
    )
    explained.served_at.FromMicroseconds(round(logged.row.served_at * 1e6))
    return explained


def encode_replayed(logged: Logged, slate: Slate) -> pb.ReplaySlateResponse:
    """A slate beside the one that was made again."""
    before, items, original = logged.slate, encode_items(slate), encode_items(logged.slate)
    return pb.ReplaySlateResponse(
        identical=len(items) == len(original)
        and all(
            new.item_id == old.item_id and math.isclose(new.score, old.score, rel_tol=_SAME)
            for new, old in zip(items, original, strict=True)
        ),
        items=items,
        original=original,
        release_id=slate.query.release.release_id,
        level=encode_level(slate.record.level),
        original_release_id=logged.row.release_id,
        original_level=encode_level(before.record.level),
        trace=encode_trace(slate.query, slate.record, slate.chosen),
    )


def encode_tried(tried: Tried) -> pb.TryRulesResponse:
    """What rules would change."""
    changed = [change for change in tried.changes if change.any]
    shown = sum(len(change.row.items) for change in tried.changes)
    gone = sum(len(change.leaving) for change in changed)
    return pb.TryRulesResponse(
        requests=len(tried.changes),
        users=len({change.row.user_id for change in tried.changes}),
        changed_users=len({change.row.user_id for change in changed}),
        changed=[
            pb.ChangedSlate(
                request_id=change.row.request_id,
                user_id=change.row.user_id,
                entering=change.entering,
                leaving=change.leaving,
                moved=change.moved,
            )
            for change in changed
        ],
        kept_share=1 - gone / shown if shown else 1.0,
        skipped=tried.skipped,
    )
