"""Whether a switch of releases fails or tears an answer, and how long it takes.

    python -m bench.switching [--switches N] [--rate R] [--json]

Starts a system with two releases on a small synthetic world in a temporary state, asks for
recommendations at a constant rate while it switches to and fro, and computes the scores of every
logged answer again from the release that the answer names. Leaves nothing.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from bench.percentiles import percentiles
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

_PAUSE_SECONDS = 0.5
_LOGGED_SECONDS = 2.0

_console = Console(stderr=True)


@dataclass(frozen=True)
class Answer:
    """An answer to Recommend.

    Attributes:
        due, at: seconds of `time.perf_counter` when it was to be asked for, and when it came.
    """

    request_id: str
    release_id: str
    level: str
    due: float
    at: float


@dataclass(frozen=True)
class Switch:
    """A switch, from the call on; times as those of `Answer`."""

    name: str
    release_id: str
    began: float
    ended: float

    def serving(self, answers: Sequence[Answer]) -> float:
        """Seconds until somebody who asked after the call got an answer of the release."""
        later = (each for each in answers if each.due >= self.began)
        ours = (each.at for each in later if each.release_id == self.release_id)
        return min(ours, default=math.inf) - self.began


@dataclass
class Asked:
    """What became of the requests, and of the switches meanwhile."""

    answers: list[Answer] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    switches: list[Switch] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        answers = self.answers
        return {
            "switches": len(self.switches),
            "requests": len(answers) + self.failed.total(),
            "failed": dict(self.failed),
            "levels": dict(Counter(each.level for each in answers)),
            "answers_by_release": dict(Counter(each.release_id for each in answers)),
            **percentiles([(each.at - each.due) * 1e3 for each in answers], "recommend"),
            **_seconds("activate", self._named("activate"), answers),
            **_seconds("rollback", self._named("rollback"), answers),
        }

    def _named(self, name: str) -> list[Switch]:
        return [each for each in self.switches if each.name == name]


def _seconds(name: str, switches: list[Switch], answers: list[Answer]) -> dict[str, float]:
    if not switches:
        return {}
    taken = {
        "call": [each.ended - each.began for each in switches],
        "to_serving": [each.serving(answers) for each in switches],
    }
    return {
        f"{name}_{what}_{of.__name__}_seconds": round(float(of(seconds)), 3)
        for what, seconds in taken.items()
        for of in (np.median, max)
    }


def run(switches: int, rate: float) -> dict[str, Any]:
    """Switches, asks `rate` times a second, and checks.

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
        asked = asyncio.run(_measure(system.address, world, switches, rate))
        with _console.status("computing scores again"):
            return {**asked.document(), **_check(state, asked)}


async def _measure(address: str, world: World, switches: int, rate: float) -> Asked:
    asked, ended = Asked(), asyncio.Event()
    async with AsyncClient(address) as client:
        (spare,) = await _others(client)
        await client.activate_release(spare)  # the first time, services load it
        asking = asyncio.create_task(_ask(client, world, rate, asked, ended))
        with Progress(console=_console) as progress:
            for number in progress.track(range(switches), description="switching"):
                asked.switches.append(await _switch(client, back=number % 2 == 1))
                await asyncio.sleep(_PAUSE_SECONDS)
        await asyncio.sleep(_LOGGED_SECONDS)
        ended.set()
        await asking
        await asyncio.sleep(_LOGGED_SECONDS)
    return asked


async def _switch(client: AsyncClient, *, back: bool) -> Switch:
    (other,) = await _others(client)
    began = time.perf_counter()
    if back:
        release = (await client.rollback_release()).release
    else:
        release = (await client.activate_release(other)).release
    ended = time.perf_counter()
    return Switch("rollback" if back else "activate", release.release_id, began, ended)


async def _others(client: AsyncClient) -> list[str]:
    """Releases that do not serve."""
    releases = (await client.list_releases()).releases
    return [each.release_id for each in releases if each.state != pb.RELEASE_STATE_ACTIVE]


async def _ask(
    client: AsyncClient, world: World, rate: float, asked: Asked, ended: asyncio.Event
) -> None:
    """An open loop: a slow answer does not keep the next question."""

    async def one(user: str, due: float) -> None:
        try:
            answer = await client.recommend(user)
        except TandemError as error:
            asked.failed[error.code.name] += 1
            return
        level, now = pb.Level.Name(answer.level), time.perf_counter()
        asked.answers.append(Answer(answer.request_id, answer.release_id, level, due, now))

    rng, began = np.random.default_rng(0), time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in count():
            if ended.is_set():
                return
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            user = world.user_ids[int(rng.integers(len(world.user_ids)))]
            tasks.create_task(one(user, due))


def _check(state: State, asked: Asked) -> dict[str, Any]:
    """Scores of every logged answer, computed again from the release that the answer names."""
    engine, scorers = open_database(state.database_url), dict[str, FinalScorer]()
    checked, torn, largest = 0, 0, 0.0
    log = SlateLog(engine)
    for answer in asked.answers:
        release_id, row = answer.release_id, log.read(answer.request_id)
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
@click.option("--rate", type=click.FloatRange(1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def main(switches: int, rate: float, as_json: bool) -> None:
    """Counts failed calls and torn answers while releases are switched under load."""
    found = run(switches, rate)
    if as_json:
        return print_json(found)
    print_table(["what", "figure"], [[name, str(each)] for name, each in found.items()])


if __name__ == "__main__":
    main()
