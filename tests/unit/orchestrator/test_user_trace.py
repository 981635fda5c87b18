"""What an explained answer says of the user, read from a features service on loopback."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from grpc import aio

from services.common.deadlines import Budget
from services.common.errors import Unavailable
from services.orchestrator.candidates import Query
from services.orchestrator.clients import FeaturesClient
from services.orchestrator.hydrators import UserHydrator
from services.orchestrator.user_trace import encode_user_trace
from tandem.features.v1 import features_pb2, features_pb2_grpc
from tandem.recommender.v1 import recommender_pb2 as pb

MakeQuery = Callable[..., Query]


class OneUser(features_pb2_grpc.FeatureServiceServicer):
    """Knows one user, who clicked an item of the release and one it does not hold."""

    async def GetUserFeatures(
        self, request: features_pb2.GetUserFeaturesRequest, context: Any
    ) -> features_pb2.GetUserFeaturesResponse:
        if request.user_id != "a":
            return features_pb2.GetUserFeaturesResponse()
        session = features_pb2.Session(
            item_ids=["i1", "elsewhere"],
            kinds=[2, 2],
            timestamps=[10.0, 20.5],
            values=[0.0, 0.0],
            region="pt",
            version=7,
        )
        return features_pb2.GetUserFeaturesResponse(session=session, seen_item_ids=["i1"])


@pytest.fixture
async def features() -> AsyncIterator[tuple[aio.Server, UserHydrator]]:
    server = aio.server()
    features_pb2_grpc.add_FeatureServiceServicer_to_server(OneUser(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    client = FeaturesClient([f"127.0.0.1:{port}"])
    yield server, UserHydrator(client, remember=10)
    await client.close()
    await server.stop(None)


Features = tuple[aio.Server, UserHydrator]


async def test_the_trace_tells_the_session_that_the_answer_was_made_from(
    features: Features, query: MakeQuery
) -> None:
    trace = encode_user_trace(await features[1].hydrate(query()))
    assert (trace.version, trace.events, trace.region) == (7, 2, "pt")
    assert trace.newest.ToMilliseconds() == 20_500
    assert trace.friends_items == 0


async def test_a_user_without_events_has_an_empty_trace(
    features: Features, query: MakeQuery
) -> None:
    assert encode_user_trace(await features[1].hydrate(query(user_id="b"))) == pb.UserTrace()


async def test_what_is_remembered_of_a_user_never_passes_for_the_present_session(
    features: Features, query: MakeQuery
) -> None:
    server, hydrator = features
    await hydrator.hydrate(query())
    await server.stop(None)
    with pytest.raises(Unavailable):
        await hydrator.hydrate(query(budget=Budget.of(1)))
    trace = encode_user_trace(hydrator.without(query()))
    assert (trace.version, trace.events) == (0, 2)
