"""Whether served slates come out the same when made again: `python -m bench.replays [--json]`.

Starts a system on a small synthetic world in a temporary state, with rules of every kind, and
leaves nothing.
"""

import asyncio
from collections import Counter
from typing import Any

import click
import grpc
import numpy as np
from rich.console import Console
from rich.progress import track

from bench.temporary import start, temporary_state
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.recommender.v1 import recommender_pb2_grpc
from tandem_cli.output import print_json, print_table
from tandem_client import AsyncClient, EventKind, event
from training.job import train_from_log
from training.readers import read
from training.synthetic import World, write_world

_SECONDS = 30.0
_LOGGED_SECONDS = 2.0

_console = Console(stderr=True)


def run(requests: int) -> dict[str, Any]:
    """Serves requests with events between them, then makes each slate again.

    Returns:
        The document that `--json` prints.
    """
    with temporary_state("tandem-replays-") as state:
        world = write_world(state.path.parent / "world", n_users=400, n_items=2_000, seed=1)
        train_from_log(
            read(world.path),
            database_url=state.database_url,
            release_root=state.releases,
            activate_at_start=True,
        )
        state.rules.write_text(_rules(world))
        with _console.status("starting") as shown:
            system = start(state, lambda names: shown.update(f"waiting for {', '.join(names)}"))
        return asyncio.run(_measure(system.address, world, requests))


async def _measure(address: str, world: World, requests: int) -> dict[str, Any]:
    rng, ids, levels = np.random.default_rng(0), list[str](), Counter[str]()
    async with AsyncClient(address) as client, grpc.aio.insecure_channel(address) as channel:
        admin = recommender_pb2_grpc.AdminServiceStub(channel)
        for number in track(range(requests), "serving", console=_console):
            user = _draw(rng, world.user_ids) if number % 3 else f"new-{number % 50}"
            seen = _draw(rng, world.item_ids)
            await client.record([event(user, seen, EventKind.EVENT_KIND_LIKE)])
            answer = await client.recommend(user, count=int(rng.integers(1, 51)))
            ids.append(answer.request_id)
            levels[pb.Level.Name(answer.level)] += 1
        await asyncio.sleep(_LOGGED_SECONDS)
        identical, differing, missing = 0, list[str](), 0
        for request_id in track(ids, "replaying", console=_console):
            asked = pb.ReplaySlateRequest(request_id=request_id)
            try:
                again = await admin.ReplaySlate(asked, timeout=_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                missing += 1
                continue
            identical += again.identical
            if not again.identical:
                differing.append(request_id)
    return {
        "requests": requests,
        "levels": dict(levels),
        "identical": identical,
        "differing": len(differing),
        "not_logged": missing,
    }


def _rules(world: World) -> str:
    one, other, third = world.item_ids[:3]
    return f"""\
block: {{items: ["{third}"]}}
frequency: {{times: 5, days: 1}}
boost: [{{by: 0.5, items: ["{other}"]}}]
promote:
  - {{item_id: "{one}", slot: 2, budget: 200, label: Sponsored}}
caps: {{genre: 30}}
diversity: {{method: dpp, weight: 0.1, calibration: 0.1}}
"""


def _draw(rng: np.random.Generator, ids: list[str]) -> str:
    return ids[int(rng.integers(len(ids)))]


@click.command()
@click.option("--requests", type=click.IntRange(1, 100_000), default=1_000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def main(requests: int, as_json: bool) -> None:
    """Counts slates that come out the same when made again."""
    found = run(requests)
    if as_json:
        return print_json(found)
    print_table(
        ["requests", "identical", "differing", "not logged", "levels"],
        [
            [
                *(found[n] for n in ("requests", "identical", "differing", "not_logged")),
                ", ".join(f"{n} {level}" for level, n in found["levels"].items()),
            ]
        ],
        "slates made again",
    )


if __name__ == "__main__":
    main()
