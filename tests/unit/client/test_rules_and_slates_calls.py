"""What both clients send of rules and slates."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc
from tandem_client import AsyncClient, Client


class Admin(recommender_pb2_grpc.AdminServiceServicer):
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Message] = []

    def GetRules(self, request: pb.GetRulesRequest, context: object) -> pb.GetRulesResponse:
        self.asked.append(request)
        return pb.GetRulesResponse(rules="caps: {}")

    def SetRules(self, request: pb.SetRulesRequest, context: object) -> pb.SetRulesResponse:
        self.asked.append(request)
        return pb.SetRulesResponse(digest="d")

    def TryRules(self, request: pb.TryRulesRequest, context: object) -> pb.TryRulesResponse:
        self.asked.append(request)
        return pb.TryRulesResponse(requests=3)

    def ExplainSlate(
        self, request: pb.ExplainSlateRequest, context: object
    ) -> pb.ExplainSlateResponse:
        self.asked.append(request)
        return pb.ExplainSlateResponse(rules="caps: {}")

    def ReplaySlate(
        self, request: pb.ReplaySlateRequest, context: object
    ) -> pb.ReplaySlateResponse:
        self.asked.append(request)
        return pb.ReplaySlateResponse(identical=True)


@pytest.fixture
def admin() -> Admin:
    return Admin()  # type: ignore[abstract]


@pytest.fixture
def address(admin: Admin) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1))
    recommender_pb2_grpc.add_AdminServiceServicer_to_server(admin, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


CALLS: dict[str, tuple[Callable[[Any], Any], Message]] = {
    "get_rules": (lambda c: c.get_rules(), pb.GetRulesRequest()),
    "set_rules": (lambda c: c.set_rules("a: b"), pb.SetRulesRequest(rules="a: b")),
    "try_rules": (
        lambda c: c.try_rules("a: b", requests=7),
        pb.TryRulesRequest(rules="a: b", requests=7),
    ),
    "explain_slate": (lambda c: c.explain_slate("q"), pb.ExplainSlateRequest(request_id="q")),
    "replay_slate": (lambda c: c.replay_slate("q"), pb.ReplaySlateRequest(request_id="q")),
    "replay_slate by others": (
        lambda c: c.replay_slate("q", release_id="r", rules=""),
        pb.ReplaySlateRequest(request_id="q", release_id="r", rules=""),
    ),
}


@pytest.mark.parametrize("name", CALLS)
async def test_both_clients_send_the_same(name: str, admin: Admin, address: str) -> None:
    call, expected = CALLS[name]
    with Client(address) as client:
        answer = call(client)
    async with AsyncClient(address) as client:
        assert await call(client) == answer
    assert admin.asked == [expected, expected]


def test_no_rules_are_not_the_rules_that_held(admin: Admin, address: str) -> None:
    with Client(address) as client:
        client.replay_slate("q")
        client.replay_slate("q", rules="")
    assert [asked.HasField("rules") for asked in admin.asked] == [False, True]
