"""What an event costs, and how soon it counts: `python -m bench.freshness [--json]`.

Starts a system on a small synthetic world in a temporary state, and leaves nothing.
"""

import asyncio
from pathlib import Path
from typing import Any

import click
import psutil
from rich.console import Console

from bench.event_load import BATCH, Load, drive, floor_rate
from bench.fresh_answers import ask_after_each_event
from bench.temporary import start, temporary_state
from deploy.local.state import State
from deploy.local.system import System
from tandem_cli.output import print_json, print_table
from training.job import train_from_log
from training.readers import read
from training.synthetic import World, write_world

_USERS = 200
_CLIENTS = 4
_ALONE = 0.1  # of the events that one client sends, before four send the rest
_LOAD_CLIENTS = 3
_LOAD_USERS = 2_000

_console = Console(stderr=True)


def run(events: int, seconds: float) -> dict[str, Any]:
    """Measures a system of its own.

    Args:
        events: sent one by one, each followed by a question.
        seconds: that batches are sent for.

    Returns:
        The document that `--json` prints: milliseconds, events a second, MiB.

    Raises:
        StateError: the system does not come up.
    """
    with temporary_state("tandem-freshness-") as state:
        world = write_world(state.path.parent / "world", n_users=400, n_items=2_000, seed=1)
        train_from_log(
            read(world.path),
            database_url=state.database_url,
            release_root=state.releases,
            activate_at_start=True,
        )
        with _console.status("starting") as shown:
            system = start(state, lambda names: shown.update(f"waiting for {', '.join(names)}"))
        fresh = _fresh(system, world, events)
        throughput = _throughput(system, world, state, seconds)
        rss: dict[str, float] = {}
        for process in system.status():
            rss[process.name] = round(rss.get(process.name, 0.0) + process.rss_mb, 1)
    return {"fresh": fresh, "throughput": throughput, "rss_mb": rss}


def _fresh(system: System, world: World, events: int) -> dict[str, Any]:
    """Half of the users were there in training, half are new."""
    known = world.user_ids[: _USERS // 2]
    users = [each for user in known for each in (user, f"new-{user}")]
    address, items, alone = system.address, world.item_ids, int(events * _ALONE)
    with _console.status("one event, one question"):
        asyncio.run(ask_after_each_event(address, users, items, _USERS, 1, seed=1))  # warms up
        first = asyncio.run(ask_after_each_event(address, users, items, alone, 1, seed=10))
        rest = asyncio.run(
            ask_after_each_event(address, users, items, events - alone, _CLIENTS, seed=20)
        )
    return {
        "events": events,
        "users": len(users),
        "stale": first.stale + rest.stale,
        "alone": first.document(),
        "together": rest.document(),
    }


def _throughput(system: System, world: World, state: State, seconds: float) -> dict[str, Any]:
    users, items = [f"crowd-{n}" for n in range(_LOAD_USERS)], world.item_ids

    def load(clients: int) -> Load:
        return asyncio.run(drive(system.address, users, items, clients, seconds))

    with _console.status("batches of events"):
        spent = [_cpu_seconds(system)]
        idle = load(0)
        spent.append(_cpu_seconds(system))
        loaded = load(_LOAD_CLIENTS)
        spent.append(_cpu_seconds(system))
        floor = floor_rate(Path(state.path.parent / "floor.db"), users, items, seconds / 3)
    figures = loaded.document()
    return {
        "batch": BATCH,
        "clients": _LOAD_CLIENTS,
        "users": len(users),
        **figures,
        "recommend_idle_p50_ms": idle.document()["recommend_p50_ms"],
        "recommend_idle_p99_ms": idle.document()["recommend_p99_ms"],
        "floor_events_per_second": floor,
        "ratio": figures["events_per_second"] / floor,
        "cpu_us_per_answer": {
            name: round((spent[1][name] - spent[0][name]) / len(idle.probes) * 1e6, 1)
            for name in spent[0]
        },
        "cpu_us_per_event": {
            name: round(
                (spent[2][name] - 2 * spent[1][name] + spent[0][name]) / loaded.events * 1e6, 1
            )
            for name in spent[0]
        },
    }


def _cpu_seconds(system: System) -> dict[str, float]:
    """Processor time of the processes that events and questions pass through, so far."""
    spent: dict[str, float] = {}
    for process in system.status():
        if not process.name.startswith("ray-"):
            times = psutil.Process(process.pid).cpu_times()
            spent[process.name] = spent.get(process.name, 0.0) + times.user + times.system
    return spent


@click.command()
@click.option("--events", type=click.IntRange(100, 1_000_000), default=10_000, show_default=True)
@click.option("--seconds", type=click.FloatRange(1, 600), default=10.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
def main(events: int, seconds: float, as_json: bool) -> None:
    """Measures how fresh answers are, and how many events are taken."""
    found = run(events, seconds)
    if as_json:
        return print_json(found)
    fresh, load = found["fresh"], found["throughput"]
    print_table(
        ["clients", "events", "ack p50 ms", "p99", "visible p50 ms", "p99", "recommend p50", "p99"],
        [
            [each["clients"], each["events"]]
            + [each[f"{n}_p{p}_ms"] for n in ("ack", "visible", "recommend") for p in (50, 99)]
            for each in (fresh["alone"], fresh["together"])
        ],
        f"{fresh['events']} events by {fresh['users']} users: {fresh['stale']} stale answers",
    )
    print_table(
        ["events/s", "floor", "ratio", "recommend p50 ms", "p99", "idle p50", "idle p99"],
        [
            [load["events_per_second"], load["floor_events_per_second"], load["ratio"]]
            + [load[f"recommend_{n}p{p}_ms"] for n in ("", "idle_") for p in (50, 99)]
        ],
        f"{load['clients']} clients, {load['batch']} events a call, {load['users']} users",
    )
    cpu = [load["cpu_us_per_answer"], load["cpu_us_per_event"]]
    print_table(
        ["process", "RSS MiB", "processor µs an answer", "µs an event"],
        [
            [name, rss, *(str(each.get(name, "")) for each in cpu)]
            for name, rss in found["rss_mb"].items()
        ],
    )


if __name__ == "__main__":
    main()
