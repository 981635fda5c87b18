"""Whether a switch of releases fails or tears an answer: `python -m bench.switching [--json]`.

Starts a system with two releases on a small synthetic world in a temporary state, asks for
recommendations at a constant rate while it switches to and fro, and computes the scores of every
logged answer again from the release that the answer names. Leaves nothing.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from bench.temporary import start, temporary_state
from deploy.local.state import State
from models.final_score import FinalScorer, release_scorer
from models.release import Release
from services.common.database import open_database
from services.common.model_input import decode_user
from services.common.slates import SlateLog
from services.orchestrator.slate_detail import decode_served
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_cli.output import print_json, print_table
from tandem_client import AsyncClient, TandemError
from training.config import TowerConfig, TrainingConfig
from training.job import train_from_log
from training.readers import read
from training.synthetic import World, write_world

_RATE = 50
_PAUSE_SECONDS = 0.5
_LOGGED_SECONDS = 2.0

_console = Console(stderr=True)


@dataclass
class Asked:
    """What became of the requests: by answer, and milliseconds from the moment each was due."""

    releases: dict[str, str] = field(default_factory=dict)
    levels: Counter[str] = field(default_factory=Counter)
    millis: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def run(switches: int) -> dict[str, Any]:
    """Switches, asks, and checks.

    Returns:
        The document that `--json` prints.
    """
    with temporary_state("tandem-switching-") as state:
        world = write_world(state.path.parent / "world", n_users=400, n_items=2_000, seed=1)
        for towers in (TowerConfig(passes=1), None):  # two releases that score differently
            train_from_log(
                read(world.path),
                database_url=state.database_url,
                release_root=state.releases,
                activate_at_start=towers is None,
                config=TrainingConfig(towers=towers),
            )
        with _console.status("starting") as shown:
            system = start(state, lambda names: shown.update(f"waiting for {', '.join(names)}"))
        asked, seconds = asyncio.run(_measure(system.address, world, switches))
        with _console.status("computing scores again"):
            checked = _check(state, asked)
    return {
        "switches": switches,
        "requests": len(asked.releases) + len(asked.failed),
        "failed": len(asked.failed),
        "levels": dict(asked.levels),
        "answers_by_release": dict(Counter(asked.releases.values())),
        **checked,
        "recommend_p50_ms": float(np.percentile(asked.millis, 50)),
        "recommend_p99_ms": float(np.percentile(asked.millis, 99)),
        **{
            f"{name}_{what}_seconds": round(float(of(taken)), 3)
            for name, taken in seconds.items()
            for what, of in (("p50", np.median), ("longest", np.max))
        },
    }


async def _measure(
    address: str, world: World, switches: int
) -> tuple[Asked, dict[str, list[float]]]:
    asked, ended = Asked(), asyncio.Event()
    seconds: dict[str, list[float]] = {"activate": [], "rollback": []}
    async with AsyncClient(address) as client:
        releases = [each.release_id for each in (await client.list_releases()).releases]
        (spare,) = [
            each.release_id
            for each in (await client.list_releases()).releases
            if each.state != pb.RELEASE_STATE_ACTIVE
        ]
        await client.activate_release(spare)  # the first time, services load it
        asking = asyncio.create_task(_ask(client, world, asked, ended))
        with Progress(console=_console) as progress:
            for number in progress.track(range(switches), description="switching"):
                began = time.perf_counter()
                if number % 2:
                    await client.rollback_release()
                    seconds["rollback"].append(time.perf_counter() - began)
                else:
                    active = (await client.recommend(world.user_ids[0])).release_id
                    other = next(each for each in releases if each != active)
                    began = time.perf_counter()
                    await client.activate_release(other)
                    seconds["activate"].append(time.perf_counter() - began)
                await asyncio.sleep(_PAUSE_SECONDS)
        ended.set()
        await asking
        await asyncio.sleep(_LOGGED_SECONDS)
    return asked, seconds


async def _ask(client: AsyncClient, world: World, asked: Asked, ended: asyncio.Event) -> None:
    """An open loop: a slow answer does not keep the next question."""

    async def one(user: str, due: float) -> None:
        try:
            answer = await client.recommend(user)
        except TandemError as error:
            asked.failed.append(str(error))
            return
        asked.millis.append((time.perf_counter() - due) * 1e3)
        asked.releases[answer.request_id] = answer.release_id
        asked.levels[pb.Level.Name(answer.level)] += 1

    rng, began = np.random.default_rng(0), time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in count():
            if ended.is_set():
                return
            due = began + number / _RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            user = world.user_ids[int(rng.integers(len(world.user_ids)))]
            tasks.create_task(one(user, due))


def _check(state: State, asked: Asked) -> dict[str, Any]:
    """Scores of every logged answer, computed again from the release that the answer names."""
    engine, scorers = open_database(state.database_url), dict[str, FinalScorer]()
    checked, torn, largest = 0, 0, 0.0
    log = SlateLog(engine)
    for request_id, release_id in asked.releases.items():
        row = log.read(request_id)
        if row is None or row.detail is None:
            continue
        message = decode_served(row.detail).message
        if not message.ranked_predictions:
            continue  # without ranking there are no scores of a release
        if release_id not in scorers:
            scorers[release_id] = release_scorer(Release(state.releases / release_id))
        rows = np.array(message.ranked_rows, np.int32)
        scores = scorers[release_id].score(decode_user(message.user), rows)
        apart = float(np.abs(scores - np.array(message.ranked_scores, np.float32)).max())
        checked, largest = checked + 1, max(largest, apart)
        torn += row.release_id != release_id or apart > 1e-4
    engine.dispose()
    return {"checked": checked, "torn": torn, "largest_score_difference": largest}


@click.command()
@click.option("--switches", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def main(switches: int, as_json: bool) -> None:
    """Counts failed calls and torn answers while releases are switched under load."""
    found = run(switches)
    if as_json:
        return print_json(found)
    print_table(["what", "figure"], [[name, str(each)] for name, each in found.items()])


if __name__ == "__main__":
    main()
