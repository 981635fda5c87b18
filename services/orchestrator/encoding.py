"""Slates and releases as messages of the public API."""

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from services.common.releases import ReleaseRecord
from services.orchestrator.candidates import PART, PREDICTION, PROPENSITY, Query
from services.orchestrator.pipeline import Level, Slate
from tandem.recommender.v1 import recommender_pb2 as pb


def encode_slate(slate: Slate, explain: bool) -> pb.RecommendResponse:
    """An answer; asked to explain, with parts of scores and a trace."""
    items, chosen, record = slate.query.catalogue.items, slate.chosen, slate.record
    scores = chosen.columns.get(PREDICTION, chosen.scores)
    propensities = chosen.columns.get(PROPENSITY, np.ones(len(chosen)))
    parts = {
        name.removeprefix(PART): column
        for name, column in chosen.columns.items()
        if name.startswith(PART)
    }
    return pb.RecommendResponse(
        items=[
            pb.RecommendedItem(
                item_id=items.ids[row],
                score=score,
                title=items.titles[row],
                sources=chosen.sources_of(position),
                parts={name: values[position] for name, values in parts.items()},
                propensity=propensities[position],
            )
            for position, (row, score) in enumerate(
                zip(chosen.rows.tolist(), scores.tolist(), strict=True)
            )
        ],
        release_id=slate.query.release.release_id,
        level=encode_level(record.level),
        stage_millis=record.stage_millis,
        request_id=slate.query.request_id,
        trace=_encode_trace(slate) if explain else None,
    )


def _encode_trace(slate: Slate) -> pb.Trace:
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
            for c in slate.record.components
        ],
        user=encode_user_trace(slate.query),
    )


def encode_user_trace(query: Query) -> pb.UserTrace:
    """What an explained answer says of the user."""
    session, user = query.session, query.user
    trace = pb.UserTrace(
        version=session.version,
        events=session.events,
        friends_items=len(user.around.friends) if user else 0,
        region=user.region if user else query.region,
    )
    if session.newest is not None:
        trace.newest.FromMicroseconds(round(session.newest * 1e6))
    return trace


def encode_release(record: ReleaseRecord) -> pb.Release:
    """A release as it is listed."""
    created_at = Timestamp()
    created_at.FromDatetime(record.created_at)
    return pb.Release(
        release_id=record.release_id,
        state=f"RELEASE_STATE_{record.state.value}",
        created_at=created_at,
        metrics=record.metrics,
    )


def encode_level(level: Level) -> str:
    """The name of a level in the API."""
    return f"LEVEL_{level.name}"
