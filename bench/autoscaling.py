"""Whether ranking scales with load: `python -m bench.autoscaling [--plot FILE] [--json]`.

Runs the ranking service as on one machine, calls it a little, then a lot, then a little again, and
watches how many replicas HAProxy sends calls to. Leaves nothing.
"""

import asyncio
import csv
import io
import socket
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import grpc
import numpy as np
from grpc import aio
from matplotlib.figure import Figure
from rich.console import Console

from bench.percentiles import percentiles
from bench.random_release import clicked, write_random_release
from bench.ranking_process import RankingProcess, start_ranking
from services.common.database import open_database
from services.common.model_input import encode_user
from services.common.releases import ReleaseRegistry
from services.ranking.deployment import NAME
from tandem.ranking.v1 import ranking_pb2, ranking_pb2_grpc
from tandem_cli.output import print_json, print_table

_N_ITEMS = 9_742
_DIMENSIONS = 128
_CANDIDATES = 500
_HISTORY = 50
_TIMEOUT_SECONDS = 10.0
_LIGHT_SECONDS = 10.0
_MOST_SECONDS = 60.0
"""Time for the replicas to go back to one."""

_DOWNSCALE_DELAY = "10"
_PERIOD = 0.25
_BIN = 1.0

_console = Console(stderr=True)


@dataclass
class Watched:
    """What happened, by seconds since the load began to rise.

    Attributes:
        calls: end and milliseconds of each answered call.
        failed: status codes.
        replicas: moments, and how many replicas calls went to.
    """

    calls: list[tuple[float, float]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    replicas: list[tuple[float, int]] = field(default_factory=list)


def run(clients: int, seconds: float, replicas: int) -> dict[str, Any]:
    """Measures.

    Args:
        clients: that ask at once while the load is high, each as soon as it is answered.
        seconds: of high load.
        replicas: most that may run.

    Returns:
        The document that `--json` prints.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-scaling-") as folder:
        state = Path(folder)
        release = write_random_release(state / "releases", _N_ITEMS, _DIMENSIONS, seed=1)
        _activate(state, release.release_id)
        request = ranking_pb2.RankRequest(
            release_id=release.release_id,
            user=encode_user(clicked(*range(0, 10 * _HISTORY, 10))),
            item_rows=np.random.default_rng(1)
            .choice(_N_ITEMS, _CANDIDATES, replace=False)
            .tolist(),
        )
        settings = {
            "RANKING_DOWNSCALE_DELAY_SECONDS": _DOWNSCALE_DELAY,
            "RANKING_MAX_REPLICAS": str(replicas),
        }
        with start_ranking(state, settings) as ranking, _console.status("starting") as shown:
            ranking.wait_until_serving()
            shown.update("calling")
            watched = asyncio.run(_watch(ranking, request, clients, seconds))
    return describe(watched, clients, seconds)


def _activate(state: Path, release_id: str) -> None:
    """A new replica takes calls only once it holds the active release."""
    engine = open_database(f"sqlite:///{state / 'tandem.db'}")
    registry = ReleaseRegistry(engine)
    registry.add(release_id, {})
    registry.activate(release_id)
    engine.dispose()


async def _watch(
    ranking: RankingProcess, request: ranking_pb2.RankRequest, clients: int, seconds: float
) -> Watched:
    watched, began = Watched(), time.perf_counter() + _LIGHT_SECONDS
    ended, high, back = asyncio.Event(), asyncio.Event(), asyncio.Event()
    haproxy = Path(ranking.environment["RANKING_RUNTIME_DIR"]) / "ha"
    async with aio.insecure_channel(ranking.addresses[0]) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)

        async def client(until: asyncio.Event, pause: float) -> None:
            while not until.is_set():
                sent = time.perf_counter()
                try:
                    await stub.Rank(request, timeout=_TIMEOUT_SECONDS)
                except grpc.RpcError as error:
                    watched.failed.append(error.code().name)
                else:
                    now = time.perf_counter()
                    watched.calls.append((now - began, (now - sent) * 1e3))
                await asyncio.sleep(pause)

        async def replicas() -> None:
            while not ended.is_set():
                found = await asyncio.to_thread(_in_rotation, haproxy)
                if found is not None:
                    watched.replicas.append((time.perf_counter() - began, found))
                    if high.is_set() and found <= 1:
                        back.set()
                await asyncio.sleep(_PERIOD)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client(ended, 0.1))
            tasks.create_task(replicas())
            await asyncio.sleep(began - time.perf_counter())
            for _ in range(clients):
                tasks.create_task(client(high, 0.0))
            await asyncio.sleep(seconds)
            high.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(_MOST_SECONDS):
                    await back.wait()
            await asyncio.sleep(_LIGHT_SECONDS)
            ended.set()
    return watched


def _in_rotation(folder: Path) -> int | None:
    """Replicas to which HAProxy sends calls, by its own account; None while it restarts."""
    for path in folder.glob("*/s"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_TIMEOUT_SECONDS)
            try:
                connection.connect(str(path))
                connection.sendall(b"show stat\n")
                answer = connection.makefile().read()
            except OSError:
                continue
        taking_calls = [
            row
            for row in csv.DictReader(io.StringIO(answer))
            if row["# pxname"] == f"grpc-{NAME}"
            and row["svname"].startswith("SERVE_REPLICA")
            and row["status"].startswith("UP")
        ]
        return len(taking_calls)
    return None


def describe(watched: Watched, clients: int, seconds: float) -> dict[str, Any]:
    """The document of a run; arguments as of `run`."""
    ends = np.array([end for end, _ in watched.calls])
    millis = np.array([took for _, took in watched.calls])
    moments = np.array([moment for moment, _ in watched.replicas])
    replicas = np.array([count for _, count in watched.replicas])
    bins = np.floor(ends / _BIN).astype(int)
    series = []
    for at in range(int(bins.min()), int(bins.max()) + 1):
        of_bin = millis[bins == at]
        held = replicas[moments < (at + 1) * _BIN]
        series.append(
            {
                "seconds": at * _BIN,
                "calls_per_second": len(of_bin) / _BIN,
                "p99_ms": float(np.percentile(of_bin, 99)) if len(of_bin) else None,
                "replicas": int(held[-1]) if len(held) else 0,
            }
        )
    high = (ends >= 0) & (ends < seconds)
    back = moments[(moments > seconds) & (replicas <= 1)]
    return {
        "clients": clients,
        "calls": len(ends),
        "failed": len(watched.failed),
        "errors": sorted(set(watched.failed)),
        "replicas_before": int(replicas[moments < 0].max()),
        "replicas_most": int(replicas.max()),
        "seconds_to": {
            str(count): round(float(moments[replicas >= count][0]), 1)
            for count in range(2, int(replicas.max()) + 1)
        },
        "replicas_after": int(replicas[-1]),
        "seconds_to_return": round(float(back[0] - seconds), 1) if len(back) else None,
        "downscale_delay_seconds": float(_DOWNSCALE_DELAY),
        "calls_per_second": round(float(high.sum()) / seconds, 1),
        **percentiles(millis[high].tolist()),
        "series": series,
    }


def plot(document: dict[str, Any], path: Path) -> None:
    """Draws calls a second, replicas and p99 over time.

    Args:
        document: from `run`.
        path: a file of a format that matplotlib knows by its ending.
    """
    series = document["series"]
    x = [each["seconds"] for each in series]
    figure = Figure(figsize=(9, 6), layout="constrained")
    drawn = {
        "calls_per_second": "calls/s",
        "replicas": "replicas that take calls",
        "p99_ms": "p99, ms",
    }
    for number, (axes, (name, label)) in enumerate(
        zip(figure.subplots(3, 1, sharex=True), drawn.items(), strict=True)
    ):
        y = [np.nan if each[name] is None else each[name] for each in series]
        axes.step(x, y, where="post", color=f"C{number}")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.axes[-1].set_xlabel(f"seconds since {document['clients']} clients began to call")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


@click.command()
@click.option("--clients", type=click.IntRange(1, 256), default=16, show_default=True)
@click.option("--seconds", type=click.FloatRange(5, 300), default=40.0, show_default=True)
@click.option("--replicas", type=click.IntRange(2, 16), default=4, show_default=True)
@click.option(
    "--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="A picture."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def main(clients: int, seconds: float, replicas: int, picture: Path | None, as_json: bool) -> None:
    """Watches the replicas of the ranking service while many call it, and afterwards."""
    found = run(clients, seconds, replicas)
    if picture is not None:
        plot(found, picture)
    if as_json:
        return print_json(found)
    rows = [[name, str(each)] for name, each in found.items() if name != "series"]
    print_table(["what", "figure"], rows, "autoscaling")


if __name__ == "__main__":
    main()
