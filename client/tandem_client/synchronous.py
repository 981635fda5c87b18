"""The blocking client."""

from collections.abc import Callable, Iterable
from typing import Self, TypeVar, Unpack

import grpc

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc
from tandem_client.connection import (
    ACTIVATE_TIMEOUT_SECONDS,
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT_SECONDS,
    ERASE_TIMEOUT_SECONDS,
    REPLAY_TIMEOUT_SECONDS,
    TandemError,
    channel_options,
)
from tandem_client.requests import RecommendOptions, recommend_request, replay_request

_Response = TypeVar("_Response")


class Client:
    """Calls Tandem and waits. Thread-safe; keep one a process.

    Args:
        address: `host:port` of the orchestrator.
        timeout: seconds a call may take, its retries included.
        credentials: for TLS, such as `grpc.ssl_channel_credentials()`; None speaks plain gRPC.

    Every method raises `TandemError` when the call fails for good.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        options = channel_options()
        if credentials is None:
            self._channel = grpc.insecure_channel(address, options=options)
        else:
            self._channel = grpc.secure_channel(address, credentials, options=options)
        self._timeout = timeout
        self._recommender = recommender_pb2_grpc.RecommenderServiceStub(self._channel)
        self._admin = recommender_pb2_grpc.AdminServiceStub(self._channel)

    def recommend(
        self, user_id: str, count: int = 10, **options: Unpack[RecommendOptions]
    ) -> pb.RecommendResponse:
        """The best `count` items for a user now."""
        return self._call(self._recommender.Recommend, recommend_request(user_id, count, options))

    def recommend_stored(self, user_id: str, count: int = 10) -> pb.RecommendStoredResponse:
        """The list computed for the user in training."""
        request = pb.RecommendStoredRequest(user_id=user_id, count=count)
        return self._call(self._recommender.RecommendStored, request)

    def similar_items(
        self, item_id: str, count: int = 10, *, method: str = "", missing: str = ""
    ) -> pb.SimilarItemsResponse:
        """The items nearest to an item.

        Args:
            method, missing: how items are compared, and what a missing value counts as; empty means
                what the release holds, which is the only one it answers.
        """
        request = pb.SimilarItemsRequest(
            item_id=item_id, count=count, method=method, missing=missing
        )
        return self._call(self._recommender.SimilarItems, request)

    def similar_users(
        self, user_id: str, count: int = 10, *, method: str = "", missing: str = ""
    ) -> pb.SimilarUsersResponse:
        """The users nearest in taste to a user; method and missing as for items."""
        request = pb.SimilarUsersRequest(
            user_id=user_id, count=count, method=method, missing=missing
        )
        return self._call(self._recommender.SimilarUsers, request)

    def record(self, events: Iterable[pb.Event]) -> pb.RecordEventsResponse:
        """Stores events durably; bad ones are named in the answer's `errors`."""
        return self._call(self._recommender.RecordEvents, pb.RecordEventsRequest(events=events))

    def upsert_users(self, users: Iterable[pb.User]) -> pb.UpsertUsersResponse:
        """Sets regions and friends of users; bad ones are named in the answer's `errors`."""
        return self._call(self._admin.UpsertUsers, pb.UpsertUsersRequest(users=users))

    def delete_user(self, user_id: str) -> pb.DeleteUserResponse:
        """Erases a user everywhere. When it fails, ask again: it goes on where it stopped."""
        request = pb.DeleteUserRequest(user_id=user_id)
        return self._call(self._admin.DeleteUser, request, ERASE_TIMEOUT_SECONDS)

    def upsert_items(self, items: Iterable[pb.Item]) -> pb.UpsertItemsResponse:
        """Adds items or changes them, durably; bad ones are named in the answer's `errors`."""
        return self._call(self._admin.UpsertItems, pb.UpsertItemsRequest(items=items))

    def list_releases(self) -> pb.ListReleasesResponse:
        """All releases, newest first."""
        return self._call(self._admin.ListReleases, pb.ListReleasesRequest())

    def activate_release(self, release_id: str) -> pb.ActivateReleaseResponse:
        """Publishes a release and switches to it."""
        request = pb.ActivateReleaseRequest(release_id=release_id)
        return self._call(self._admin.ActivateRelease, request, ACTIVATE_TIMEOUT_SECONDS)

    def rollback_release(self) -> pb.RollbackReleaseResponse:
        """Switches back to the release that was active before."""
        request = pb.RollbackReleaseRequest()
        return self._call(self._admin.RollbackRelease, request, ACTIVATE_TIMEOUT_SECONDS)

    def get_rules(self) -> pb.GetRulesResponse:
        """The rules that hold, as YAML."""
        return self._call(self._admin.GetRules, pb.GetRulesRequest())

    def set_rules(self, text: str) -> pb.SetRulesResponse:
        """Replaces all rules, from the next request on; the error names line and field at fault.

        Args:
            text: YAML; empty for no rules.
        """
        return self._call(self._admin.SetRules, pb.SetRulesRequest(rules=text))

    def try_rules(self, text: str, requests: int = 0) -> pb.TryRulesResponse:
        """What other rules would change in the slates last served. Changes nothing.

        Args:
            text: YAML; empty for no rules.
            requests: how many of the last requests, at most 10,000; 0 means 1,000.
        """
        request = pb.TryRulesRequest(rules=text, requests=requests)
        return self._call(self._admin.TryRules, request, REPLAY_TIMEOUT_SECONDS)

    def explain_slate(self, request_id: str) -> pb.ExplainSlateResponse:
        """A served slate, and how it came about, by the `request_id` of its answer."""
        request = pb.ExplainSlateRequest(request_id=request_id)
        return self._call(self._admin.ExplainSlate, request)

    def replay_slate(
        self, request_id: str, release_id: str = "", rules: str | None = None
    ) -> pb.ReplaySlateResponse:
        """A served slate, made again from what was known of the user then.

        Args:
            release_id: of the release to use; empty means the one that was used.
            rules: YAML; None means the rules that held.
        """
        request = replay_request(request_id, release_id, rules)
        return self._call(self._admin.ReplaySlate, request, REPLAY_TIMEOUT_SECONDS)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _call(
        self,
        method: Callable[..., _Response],
        request: object,
        timeout: float | None = None,
    ) -> _Response:
        try:
            return method(request, timeout=timeout or self._timeout)
        except grpc.RpcError as error:
            raise TandemError(error) from None
