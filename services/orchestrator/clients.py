"""The other services, as the orchestrator sees them: arrays in, arrays out, domain errors only."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from grpc import aio
from numpy.typing import NDArray

from models.history import UserHistory
from services.common.channels import call_metadata, open_channel
from services.common.errors import (
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from services.common.model_input import encode_user
from services.orchestrator.candidates import PART, PREDICTION, Candidates, Rows
from services.orchestrator.pipeline import Scored
from tandem.features.v1 import features_pb2, features_pb2_grpc
from tandem.ranking.v1 import ranking_pb2, ranking_pb2_grpc
from tandem.recommender.v1 import recommender_pb2
from tandem.retrieval.v1 import retrieval_pb2, retrieval_pb2_grpc


@dataclass(frozen=True)
class Prepared:
    """What a service holds of a release that it has prepared.

    Attributes:
        service: its name.
        items: items of the release that it can answer about.
        users: users of the release that it holds; None where it holds none of any.
    """

    service: str
    items: int
    users: int | None = None


@dataclass(frozen=True, eq=False)
class WeightedItems:
    """Items, most first, and their (n,) float32 weights > 0."""

    item_ids: tuple[str, ...]
    weights: NDArray[np.float32]


NO_ITEMS = WeightedItems((), np.empty(0, np.float32))


@dataclass(frozen=True)
class UserFeatures:
    """A user's live session and profile.

    Attributes:
        item_ids, kinds, timestamps, values: recent events, oldest first; times in Unix seconds.
        region: region of the latest event that had one, else the home region.
        seen_item_ids: items of the user's whole history, of the kinds of events asked for.
        seen_is_increment: whether these are only what was added after the version that was named.
        factors: (k,) float32, or empty.
        version: version of the user's events that the session was made from; 0 without events.
        friends_items: what friends lately liked.
        trend, trend_here: what is on the rise everywhere, and in the user's region.
    """

    item_ids: tuple[str, ...] = ()
    kinds: tuple[int, ...] = ()
    timestamps: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    region: str = ""
    seen_item_ids: tuple[str, ...] = ()
    factors: NDArray[np.float32] | None = None
    version: int = 0
    friends_items: WeightedItems = NO_ITEMS
    trend: WeightedItems = NO_ITEMS
    trend_here: WeightedItems = NO_ITEMS
    seen_is_increment: bool = False


@dataclass(frozen=True)
class Retrieved:
    """Candidates in retrieval order, and the errors of sources that failed, by name."""

    candidates: Candidates
    failed: dict[str, str]


@dataclass(frozen=True)
class Similar:
    """Rows and similarities of neighbours, nearest first, and how they were compared."""

    rows: Rows
    scores: NDArray[np.float32]
    method: str
    missing: str


@dataclass(frozen=True)
class Attributed:
    """What in a user's history brought n items.

    Attributes:
        causes: (n, k) int32 rows of items of the history, the one that matters most first; -1 pads
            at the end.
        drops: (n, k) float32 > 0, how far the item's score falls without each; 0 pads.
    """

    causes: Rows
    drops: NDArray[np.float32]

    @classmethod
    def none(cls, n: int) -> "Attributed":
        """No cause of any of n items."""
        return cls(np.empty((n, 0), np.int32), np.empty((n, 0), np.float32))

    def padded(self, n: int) -> "Attributed":
        """The same with no cause of further items, n in all."""
        more = ((0, n - len(self.causes)), (0, 0))
        return Attributed(np.pad(self.causes, more, constant_values=-1), np.pad(self.drops, more))


class FeaturesClient:
    def __init__(self, addresses: Sequence[str]) -> None:
        self._channel = open_channel(addresses)
        self._stub = features_pb2_grpc.FeatureServiceStub(self._channel)

    async def user_features(
        self,
        user_id: str,
        release_id: str,
        as_of: float,
        timeout: float,
        *,
        region: str = "",
        trend_half_life_days: float = 0.0,
        seen_kinds: Collection[int] = (),
        seen_since_version: int = 0,
    ) -> UserFeatures:
        """A user's features; events later than `as_of` (Unix seconds, 0 for no bound) left out.

        Args:
            region: of the request; empty means the user's last known one.
            trend_half_life_days: of the trend wanted; 0 for no trend.
            seen_kinds: kinds of events that make an item a seen one, as numbers of `EventKind`;
                empty for any.
            seen_since_version: version whose seen items, by the same kinds, are known already; 0
                for none.
        """
        request = features_pb2.GetUserFeaturesRequest(
            user_id=user_id,
            release_id=release_id,
            as_of=as_of,
            region=region,
            trend_half_life_days=trend_half_life_days,
            seen_kinds=seen_kinds,
            seen_since_version=seen_since_version,
        )
        answer = await _call(self._stub.GetUserFeatures, request, timeout)
        session = answer.session
        return UserFeatures(
            item_ids=tuple(session.item_ids),
            kinds=tuple(session.kinds),
            timestamps=tuple(session.timestamps),
            values=tuple(session.values),
            region=session.region or answer.region,
            seen_item_ids=tuple(answer.seen_item_ids),
            factors=np.array(answer.factors, dtype=np.float32),
            version=session.version,
            friends_items=_weighted(answer.friends_items),
            trend=_weighted(answer.trend),
            trend_here=_weighted(answer.trend_here),
            seen_is_increment=answer.seen_is_increment,
        )

    async def upsert_users(
        self, users: Sequence[recommender_pb2.User], timeout: float
    ) -> features_pb2.UpsertUsersResponse:
        request = features_pb2.UpsertUsersRequest(users=users)
        stored: features_pb2.UpsertUsersResponse = await _call(
            self._stub.UpsertUsers, request, timeout
        )
        return stored

    async def delete_user(self, user_id: str, timeout: float) -> features_pb2.DeleteUserResponse:
        request = features_pb2.DeleteUserRequest(user_id=user_id)
        gone: features_pb2.DeleteUserResponse = await _call(self._stub.DeleteUser, request, timeout)
        return gone

    async def record_events(
        self, events: Sequence[recommender_pb2.Event], timeout: float
    ) -> features_pb2.RecordEventsResponse:
        request = features_pb2.RecordEventsRequest(events=events)
        stored: features_pb2.RecordEventsResponse = await _call(
            self._stub.RecordEvents, request, timeout
        )
        return stored

    async def upsert_items(
        self, items: Sequence[recommender_pb2.Item], timeout: float
    ) -> features_pb2.UpsertItemsResponse:
        request = features_pb2.UpsertItemsRequest(items=items)
        stored: features_pb2.UpsertItemsResponse = await _call(
            self._stub.UpsertItems, request, timeout
        )
        return stored

    async def prepare(self, release_id: str, timeout: float) -> Prepared:
        request = features_pb2.PrepareReleaseRequest(release_id=release_id)
        answer = await _call(self._stub.PrepareRelease, request, timeout)
        return Prepared("features", answer.items, answer.users)

    async def close(self) -> None:
        await self._channel.close()


class RetrievalClient:
    def __init__(self, addresses: Sequence[str]) -> None:
        self._channel = open_channel(addresses)
        self._stub = retrieval_pb2_grpc.RetrievalServiceStub(self._channel)

    async def retrieve(
        self,
        release_id: str,
        user: UserHistory,
        count: int,
        exclude: Rows,
        timeout: float,
        *,
        sources: Sequence[str] = (),
    ) -> Retrieved:
        """Up to `count` candidates, none of them among the sorted `exclude` rows.

        Args:
            sources: names of those that are asked; all for none.
        """
        request = retrieval_pb2.RetrieveRequest(
            release_id=release_id,
            user=encode_user(user),
            count=count,
            sources=sources,
            exclude=exclude.astype("<u4").tobytes(),
        )
        answer = await _call(self._stub.Retrieve, request, timeout)
        rows = np.array(answer.item_rows, dtype=np.int32)
        ranks = np.zeros((len(rows), len(answer.sources)), np.int32)
        for source, report in enumerate(answer.sources):
            positions = np.array(report.positions, dtype=np.int64)
            ranks[positions, source] = np.arange(1, len(positions) + 1)
        return Retrieved(
            Candidates(
                rows,
                np.array(answer.scores, dtype=np.float32),
                ranks,
                tuple(report.name for report in answer.sources),
            ),
            {report.name: report.error for report in answer.sources if report.error},
        )

    async def similar_items(
        self, release_id: str, item_id: str, count: int, method: str, missing: str, timeout: float
    ) -> Similar:
        """An item's neighbours; an empty method or rule asks for what the release holds.

        Raises:
            NotFound: the release does not hold the item.
            FailedPrecondition: it holds another method or rule.
            InvalidArgument: no such method or rule.
        """
        request = retrieval_pb2.SimilarItemsRequest(
            release_id=release_id, item_id=item_id, count=count, method=method, missing=missing
        )
        answer = await _call(self._stub.SimilarItems, request, timeout)
        return Similar(
            np.array(answer.item_rows, np.int32),
            np.array(answer.scores, np.float32),
            answer.method,
            answer.missing,
        )

    async def prepare(self, release_id: str, timeout: float) -> Prepared:
        request = retrieval_pb2.PrepareReleaseRequest(release_id=release_id)
        answer = await _call(self._stub.PrepareRelease, request, timeout)
        return Prepared("retrieval", answer.items)

    async def close(self) -> None:
        await self._channel.close()


class RankingClient:
    """Calls the ranking service through the first of its entrances that is connected.

    Each entrance has a channel of its own. One channel over all addresses would stay with whichever
    connected first, and at start that is the slow one.

    Args:
        addresses: entrances in order of preference.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._entrances = [
            (channel, ranking_pb2_grpc.RankingServiceStub(channel))
            for channel in (open_channel([address]) for address in addresses)
        ]

    async def rank(
        self, release_id: str, user: UserHistory, rows: Rows, timeout: float, *, explain: bool
    ) -> Scored:
        """Scores of n item rows, what they predict, and when asked to explain, their parts."""
        request = ranking_pb2.RankRequest(
            release_id=release_id, user=encode_user(user), item_rows=rows.tolist(), explain=explain
        )
        answer = await self._call("Rank", request, timeout)
        columns = {PART + part.name: np.array(part.scores, np.float32) for part in answer.parts}
        columns[PREDICTION] = np.array(answer.predictions, np.float32)
        return Scored(np.array(answer.scores, dtype=np.float32), columns)

    async def attribute(
        self, release_id: str, user: UserHistory, rows: Rows, timeout: float
    ) -> Attributed:
        """What in the user's history brought n item rows, 1 to 50."""
        request = ranking_pb2.AttributeRequest(
            release_id=release_id, user=encode_user(user), item_rows=rows.tolist()
        )
        answer = await self._call("Attribute", request, timeout)
        counts = np.array(answer.cause_counts, np.int64)
        places = np.arange(counts.max(initial=0)) < counts[:, np.newaxis]
        causes, drops = np.full(places.shape, -1, np.int32), np.zeros(places.shape, np.float32)
        causes[places], drops[places] = answer.cause_rows, answer.drops
        return Attributed(causes, drops)

    async def prepare(self, release_id: str, timeout: float) -> Prepared:
        request = ranking_pb2.PrepareReleaseRequest(release_id=release_id)
        answer = await self._call("PrepareRelease", request, timeout)
        return Prepared("ranking", answer.items)

    async def close(self) -> None:
        for channel, _ in self._entrances:
            await channel.close()

    async def _call(self, method: str, request: Any, timeout: float) -> Any:
        """Raises what the service says; goes on to the next entrance when one is gone."""
        # Asking all for their state keeps all connected, the spare one too.
        ready = [entrance for entrance in self._entrances if _is_ready(entrance[0])]
        failure = Unavailable("no entrance to the ranking service")
        for channel, stub in ready or self._entrances:
            try:
                return await _call(getattr(stub, method), request, timeout)
            except NotFound as error:  # Ray Serve's proxy, until the application is deployed
                failure = Unavailable(str(error))
            except Unavailable as error:
                failure = error
            if _is_ready(channel):
                break  # the entrance is there: it is the service that cannot answer
        raise failure


def _weighted(items: features_pb2.WeightedItems) -> WeightedItems:
    if not items.item_ids:
        return NO_ITEMS
    return WeightedItems(tuple(items.item_ids), np.array(items.weights, np.float32))


def _is_ready(channel: aio.Channel) -> bool:
    return channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY


async def _call(method: Any, request: Any, timeout: float) -> Any:
    """Calls a stub's method; gRPC errors become domain errors.

    Whatever says "not now" (down, slow, overloaded, broken) is `Unavailable`: the caller's own
    fallbacks are the answer to all of them.
    """
    try:
        return await method(request, timeout=timeout, metadata=call_metadata())
    except aio.AioRpcError as error:
        raise _domain_error(error, method) from None


def _domain_error(error: aio.AioRpcError, method: Any) -> DomainError:
    details = error.details() or ""
    code = error.code()
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFound(details)
    if code is grpc.StatusCode.FAILED_PRECONDITION:
        return FailedPrecondition(details)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        field, _, reason = details.partition(": ")
        return InvalidArgument(field, reason)
    name = getattr(method, "_method", b"").decode()
    return Unavailable(f"{name}: {code.name}: {details}")
