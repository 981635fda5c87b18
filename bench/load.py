"""Drives a `RecommenderService` with a bounded number of calls, and times each one."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from grpc import aio

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc

_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Timings:
    """Latencies of single calls, in milliseconds, and their answers."""

    millis: list[float]
    answers: list[pb.RecommendResponse]
    seconds: float

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.millis, percent))

    @property
    def rate(self) -> float:
        """Calls a second, over the whole run."""
        return len(self.millis) / self.seconds


async def drive(address: str, users: Sequence[str], count: int, clients: int) -> Timings:
    """Asks for 10 items, `count` times in all, from `clients` clients that each wait for the last
    answer before they ask again (a closed loop)."""
    async with aio.insecure_channel(address) as channel:
        stub = recommender_pb2_grpc.RecommenderServiceStub(channel)
        left = iter(range(count))
        millis: list[float] = []
        answers: list[pb.RecommendResponse] = []

        async def client() -> None:
            for call in left:
                request = pb.RecommendRequest(user_id=users[call % len(users)], count=10)
                started = time.perf_counter()
                answers.append(await stub.Recommend(request, timeout=_TIMEOUT_SECONDS))
                millis.append((time.perf_counter() - started) * 1e3)

        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return Timings(millis, answers, time.perf_counter() - started)
