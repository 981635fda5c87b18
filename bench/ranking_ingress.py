"""What each way into the ranking service costs: `python -m bench.ranking_ingress`.

Starts what it measures on free ports, in temporary folders, and leaves nothing.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import grpc
import numpy as np
from grpc import aio
from rich.console import Console
from rich.table import Table

from bench.random_release import clicked, write_random_release
from bench.ranking_process import start_ranking
from services.common.model_input import encode_user
from services.common.ports import free_ports
from tandem.ranking.v1 import ranking_pb2, ranking_pb2_grpc

_N_ITEMS = 9_742
_DIMENSIONS = 128
_CANDIDATES = 500
_HISTORY = 50
_WARM_UP = 100
_CLIENTS = 16
_TIMEOUT_SECONDS = 30.0
_ONE_REPLICA = {"RANKING_MAX_REPLICAS": "1"}


@dataclass(frozen=True)
class Cost:
    """Of one entrance: latency with one client, throughput and latency with sixteen."""

    p50_ms: float
    p99_ms: float
    rps_16: float
    p99_ms_16: float


@click.command()
@click.option("--requests", type=click.IntRange(100, 100_000), default=2_000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(requests: int, as_json: bool) -> None:
    """Measures calls that score 500 candidates for a user with 50 events, with one replica."""
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        costs = measure(Path(folder), requests)
    if as_json:
        print(json.dumps({name: asdict(cost) for name, cost in costs.items()}))
    else:
        Console().print(_table(costs))


def measure(state: Path, requests: int) -> dict[str, Cost]:
    """Costs by entrance.

    Args:
        state: an empty folder.
        requests: calls of each kind (one client; sixteen clients) to each entrance.
    """
    releases = state / "releases"
    release = write_random_release(releases, _N_ITEMS, _DIMENSIONS, seed=1)
    request = ranking_pb2.RankRequest(
        release_id=release.release_id,
        user=encode_user(clicked(*range(0, 10 * _HISTORY, 10))),
        item_rows=np.random.default_rng(1).choice(_N_ITEMS, _CANDIDATES, replace=False).tolist(),
    )

    def cost_of(port: int) -> Cost:
        return asyncio.run(_cost(port, request, requests))

    costs = {}
    with _plain(releases) as port:
        costs["plain grpc.aio server"] = cost_of(port)
    with start_ranking(state, _ONE_REPLICA) as ranking:
        ranking.wait_until_serving()
        costs["replica's own port"] = cost_of(ranking.replica_port)
        costs["HAProxy"] = cost_of(ranking.port)
        costs["fallback proxy"] = cost_of(ranking.fallback_port)
    with start_ranking(state, _ONE_REPLICA, "bench.ranking_default_proxy") as ranking:
        ranking.wait_until_serving()
        costs["default proxy"] = cost_of(ranking.port)
    return costs


async def _cost(port: int, request: ranking_pb2.RankRequest, requests: int) -> Cost:
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        await _drive(stub, request, _WARM_UP, clients=1)
        alone, _ = await _drive(stub, request, requests, clients=1)
        together, seconds = await _drive(stub, request, requests, clients=_CLIENTS)
    return Cost(
        p50_ms=float(np.percentile(alone, 50)),
        p99_ms=float(np.percentile(alone, 99)),
        rps_16=requests / seconds,
        p99_ms_16=float(np.percentile(together, 99)),
    )


async def _drive(
    stub: "ranking_pb2_grpc.RankingServiceAsyncStub",
    request: ranking_pb2.RankRequest,
    count: int,
    clients: int,
) -> tuple[list[float], float]:
    """Latencies in milliseconds of `count` calls, and the seconds they took together.

    Each client waits for its answer before it asks again.
    """
    left = iter(range(count))
    millis: list[float] = []

    async def client() -> None:
        for _ in left:
            began = time.perf_counter()
            await stub.Rank(request, timeout=_TIMEOUT_SECONDS)
            millis.append((time.perf_counter() - began) * 1e3)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return millis, time.perf_counter() - began


@contextmanager
def _plain(releases: Path) -> Iterator[int]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "bench.ranking_plain", str(releases), str(port)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                grpc.channel_ready_future(channel).result(timeout=_TIMEOUT_SECONDS)
            yield port
        finally:
            process.terminate()


def _table(costs: dict[str, Cost]) -> Table:
    table = Table("entrance", "p50 ms", "p99 ms", "calls/s (16)", "p99 ms (16)")
    for name, cost in costs.items():
        table.add_row(name, *(f"{value:,.1f}" for value in asdict(cost).values()))
    return table


if __name__ == "__main__":
    main()
