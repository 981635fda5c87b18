"""What must hold when everything is back: the log holds what was acknowledged, once each, and all
that is known of users is what the log says."""

import asyncio
from collections.abc import Sequence

from grpc import aio
from sqlalchemy import Engine, text

from models.session import SESSION_LENGTH
from services.features.event_log import EventLog
from services.features.sessions import Session
from services.features.store import FeastStore
from tandem.features.v1 import features_pb2, features_pb2_grpc
from tandem.recommender.v1 import recommender_pb2 as pb

_ROWS = text(
    "SELECT event_id, user_id, item_id, kind, value, timestamp, region FROM events"
    " WHERE event_id LIKE 'chaos-%' ORDER BY seq"
)
_SECONDS = 20.0


def check_log(engine: Engine, sent: Sequence[pb.Event], before: int) -> None:
    """The log holds every event that was sent exactly once, as it was sent, and nothing else.

    Args:
        before: events that it held already.
    """
    with engine.connect() as db:
        rows = [tuple(row) for row in db.execute(_ROWS)]
    expected = [
        (
            event.event_id,
            event.user_id,
            event.item_id,
            event.kind,
            event.value,
            float(event.timestamp.seconds),
            event.region,
        )
        for event in sent
    ]
    assert sorted(rows) == sorted(expected)
    assert EventLog(engine).count() == before + len(sent)


async def check_answers(engine: Engine, channel: aio.Channel, users: Sequence[str]) -> None:
    """Every user's session and seen items, as the service at the channel's end tells them, are
    those of the log."""
    log, stub = EventLog(engine), features_pb2_grpc.FeatureServiceStub(channel)
    for user in users:
        request = features_pb2.GetUserFeaturesRequest(user_id=user)
        answer = await stub.GetUserFeatures(request, timeout=_SECONDS)
        expected, found = Session.of(log.history(user, SESSION_LENGTH)), answer.session
        assert expected.version > 0
        for name in ("item_ids", "kinds", "timestamps", "values"):
            assert list(getattr(found, name)) == list(getattr(expected, name)), (user, name)
        assert (found.region, found.version) == (expected.region, expected.version), user
        assert len(answer.seen_item_ids) == len(set(answer.seen_item_ids))
        assert set(answer.seen_item_ids) == set(log.seen(user)), user


async def check_store(engine: Engine, store: FeastStore, users: Sequence[str]) -> None:
    """The online store soon holds every user's session as computed from the log."""
    log = EventLog(engine)
    await store.open()
    try:
        for user in users:
            expected = Session.of(log.history(user, SESSION_LENGTH))
            stored, _ = await store.read_user(user, "")
            async with asyncio.timeout(_SECONDS):
                while stored.version != expected.version:  # a push that a reader asked for
                    await asyncio.sleep(0.1)
                    stored, _ = await store.read_user(user, "")
            assert stored == expected, user
    finally:
        await store.close()
